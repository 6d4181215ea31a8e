#include <string.h>

#include "command.h"
#include "number.h"

/* Later than any expiry time that a client can mean, and safe to add to. */
#define STRING_EXPIRY_MS_MAX (INT64_MAX / 2)

struct string_set {
	bool only_new;
	bool only_existing;
	bool keeps_expiry;
	bool wants_old;
	uint64_t expiry_ms;
};

static int string_put(struct tandem_kv_call *call, size_t key_index, size_t value_index,
                      uint64_t expiry_ms)
{
	const struct tandem_kv_arg *key = &call->args[key_index];
	const struct tandem_kv_arg *value = &call->args[value_index];

	return tandem_kv_store_put(call->store, key->bytes, key->length, value->bytes,
	                           value->length, expiry_ms);
}

static void string_reply_found(struct tandem_kv_call *call, bool is_found,
                               const struct tandem_kv_record *record)
{
	if (is_found)
		tandem_kv_reply_bulk(call->reply, record->value, record->value_length);
	else
		tandem_kv_reply_nil(call->reply);
}

int tandem_kv_run_get(struct tandem_kv_call *call)
{
	struct tandem_kv_record record;
	bool is_found;
	int result = tandem_kv_call_get(call, 1, &is_found, &record);

	if (result == 0)
		string_reply_found(call, is_found, &record);
	return result;
}

/* An expiry time argument in units of `unit_ms`, relative to now or absolute. False after an error
 * reply. */
static bool string_expiry(struct tandem_kv_call *call, size_t index, int64_t unit_ms,
                          bool is_absolute, const char *command, uint64_t *ret_expiry_ms)
{
	int64_t number;

	if (!tandem_kv_call_arg_integer(call, index, &number))
		return false;
	if (number <= 0 || number > STRING_EXPIRY_MS_MAX / unit_ms) {
		tandem_kv_reply_errorf(call->reply, "ERR invalid expire time in '%s' command",
		                       command);
		return false;
	}
	*ret_expiry_ms = (uint64_t)(number * unit_ms) + (is_absolute ? 0 : call->now_ms);
	return true;
}

/* EX, PX, EXAT and PXAT with their argument. False when the option is none of them. */
static bool string_is_expiry_option(const struct tandem_kv_call *call, size_t index,
                                    int64_t *ret_unit_ms, bool *ret_is_absolute)
{
	bool is_seconds = tandem_kv_call_arg_is(call, index, "ex") ||
	                  tandem_kv_call_arg_is(call, index, "exat");
	bool is_absolute = tandem_kv_call_arg_is(call, index, "exat") ||
	                   tandem_kv_call_arg_is(call, index, "pxat");

	*ret_unit_ms = is_seconds ? 1000 : 1;
	*ret_is_absolute = is_absolute;
	return is_seconds || is_absolute || tandem_kv_call_arg_is(call, index, "px");
}

/* False after an error reply. */
static bool string_set_options(struct tandem_kv_call *call, struct string_set *set)
{
	int64_t unit_ms;
	bool is_absolute;

	for (size_t i = 3; i < call->arg_count; i++) {
		if (tandem_kv_call_arg_is(call, i, "nx") && !set->only_existing) {
			set->only_new = true;
		} else if (tandem_kv_call_arg_is(call, i, "xx") && !set->only_new) {
			set->only_existing = true;
		} else if (tandem_kv_call_arg_is(call, i, "get")) {
			set->wants_old = true;
		} else if (tandem_kv_call_arg_is(call, i, "keepttl") && set->expiry_ms == 0) {
			set->keeps_expiry = true;
		} else if (string_is_expiry_option(call, i, &unit_ms, &is_absolute) &&
		           set->expiry_ms == 0 && !set->keeps_expiry && i + 1 < call->arg_count) {
			if (!string_expiry(call, ++i, unit_ms, is_absolute, "set", &set->expiry_ms))
				return false;
		} else {
			tandem_kv_call_syntax_error(call);
			return false;
		}
	}
	return true;
}

int tandem_kv_run_set(struct tandem_kv_call *call)
{
	struct string_set set = {0};
	struct tandem_kv_record record = {0};
	bool is_found = false;
	int result = 0;

	if (call->arg_count > 3 && !string_set_options(call, &set))
		return 0;
	if (set.only_new || set.only_existing || set.wants_old || set.keeps_expiry)
		result = tandem_kv_call_get(call, 1, &is_found, &record);
	if (result != 0)
		return result;
	bool is_refused = (set.only_new && is_found) || (set.only_existing && !is_found);
	if (set.wants_old)
		string_reply_found(call, is_found, &record);
	else if (is_refused)
		tandem_kv_reply_nil(call->reply);
	else
		tandem_kv_reply_status(call->reply, "OK");
	if (is_refused)
		return 0;
	if (set.keeps_expiry && is_found)
		set.expiry_ms = record.expiry_ms;
	return string_put(call, 1, 2, set.expiry_ms);
}

static int string_setex(struct tandem_kv_call *call, int64_t unit_ms, const char *command)
{
	uint64_t expiry_ms;

	if (!string_expiry(call, 2, unit_ms, false, command, &expiry_ms))
		return 0;
	tandem_kv_reply_status(call->reply, "OK");
	return string_put(call, 1, 3, expiry_ms);
}

int tandem_kv_run_setex(struct tandem_kv_call *call)
{
	return string_setex(call, 1000, "setex");
}

int tandem_kv_run_psetex(struct tandem_kv_call *call)
{
	return string_setex(call, 1, "psetex");
}

int tandem_kv_run_setnx(struct tandem_kv_call *call)
{
	struct tandem_kv_record record;
	bool is_found;
	int result = tandem_kv_call_get(call, 1, &is_found, &record);

	if (result != 0)
		return result;
	tandem_kv_reply_integer(call->reply, !is_found);
	return is_found ? 0 : string_put(call, 1, 2, TANDEM_KV_EXPIRY_NEVER);
}

int tandem_kv_run_getset(struct tandem_kv_call *call)
{
	int result = tandem_kv_run_get(call);

	return result != 0 ? result : string_put(call, 1, 2, TANDEM_KV_EXPIRY_NEVER);
}

int tandem_kv_run_strlen(struct tandem_kv_call *call)
{
	struct tandem_kv_record record;
	bool is_found;
	int result = tandem_kv_call_get(call, 1, &is_found, &record);

	if (result == 0)
		tandem_kv_reply_integer(call->reply, is_found ? (int64_t)record.value_length : 0);
	return result;
}

static int string_add(struct tandem_kv_call *call, int64_t increment)
{
	const struct tandem_kv_arg *key = &call->args[1];
	struct tandem_kv_record record = {0};
	char text[TANDEM_KV_NUMBER_BYTES];
	int64_t number = 0;
	bool is_found;
	int result = tandem_kv_call_get(call, 1, &is_found, &record);

	if (result != 0)
		return result;
	if (is_found && !tandem_kv_number_parse(record.value, record.value_length, &number)) {
		tandem_kv_reply_error(call->reply, "ERR value is not an integer or out of range");
		return 0;
	}
	if (__builtin_add_overflow(number, increment, &number)) {
		tandem_kv_reply_error(call->reply, "ERR increment or decrement would overflow");
		return 0;
	}
	tandem_kv_reply_integer(call->reply, number);
	return tandem_kv_store_put(call->store, key->bytes, key->length, text,
	                           tandem_kv_number_format(number, text),
	                           is_found ? record.expiry_ms : TANDEM_KV_EXPIRY_NEVER);
}

int tandem_kv_run_incr(struct tandem_kv_call *call)
{
	return string_add(call, 1);
}

int tandem_kv_run_decr(struct tandem_kv_call *call)
{
	return string_add(call, -1);
}

int tandem_kv_run_incrby(struct tandem_kv_call *call)
{
	int64_t number;

	return tandem_kv_call_arg_integer(call, 2, &number) ? string_add(call, number) : 0;
}

int tandem_kv_run_decrby(struct tandem_kv_call *call)
{
	int64_t number;

	if (!tandem_kv_call_arg_integer(call, 2, &number))
		return 0;
	if (number == INT64_MIN) {
		tandem_kv_reply_error(call->reply, "ERR decrement would overflow");
		return 0;
	}
	return string_add(call, -number);
}

int tandem_kv_run_mget(struct tandem_kv_call *call)
{
	struct tandem_kv_record record;
	bool is_found;

	tandem_kv_reply_array(call->reply, call->arg_count - 1);
	for (size_t i = 1; i < call->arg_count; i++) {
		int result = tandem_kv_call_get(call, i, &is_found, &record);

		if (result != 0)
			return result;
		string_reply_found(call, is_found, &record);
	}
	return 0;
}

int tandem_kv_run_mset(struct tandem_kv_call *call)
{
	if (call->arg_count % 2 == 0) {
		tandem_kv_reply_error(call->reply,
		                      "ERR wrong number of arguments for 'mset' command");
		return 0;
	}
	for (size_t i = 1; i < call->arg_count; i += 2) {
		int result = string_put(call, i, i + 1, TANDEM_KV_EXPIRY_NEVER);

		if (result != 0)
			return result;
	}
	tandem_kv_reply_status(call->reply, "OK");
	return 0;
}
