#include <string.h>

#include "command.h"
#include "glob.h"
#include "number.h"

#define SCAN_COUNT_DEFAULT 10
#define SCAN_COUNT_MAX     10000

int tandem_kv_run_del(struct tandem_kv_call *call)
{
	int64_t deleted = 0;

	for (size_t i = 1; i < call->arg_count; i++) {
		struct tandem_kv_record record;
		bool is_found;
		int result = tandem_kv_call_get(call, i, &is_found, &record);

		if (result == 0)
			result = tandem_kv_store_delete(call->store, call->args[i].bytes,
			                                call->args[i].length);
		if (result != 0)
			return result;
		deleted += is_found;
	}
	tandem_kv_reply_integer(call->reply, deleted);
	return 0;
}

int tandem_kv_run_exists(struct tandem_kv_call *call)
{
	int64_t existing = 0;

	for (size_t i = 1; i < call->arg_count; i++) {
		struct tandem_kv_record record;
		bool is_found;
		int result = tandem_kv_call_get(call, i, &is_found, &record);

		if (result != 0)
			return result;
		existing += is_found;
	}
	tandem_kv_reply_integer(call->reply, existing);
	return 0;
}

int tandem_kv_run_type(struct tandem_kv_call *call)
{
	struct tandem_kv_record record;
	bool is_found;
	int result = tandem_kv_call_get(call, 1, &is_found, &record);

	if (result == 0)
		tandem_kv_reply_status(call->reply, is_found ? "string" : "none");
	return result;
}

static int key_ttl(struct tandem_kv_call *call, uint64_t unit_ms)
{
	struct tandem_kv_record record;
	bool is_found;
	int result = tandem_kv_call_get(call, 1, &is_found, &record);

	if (result != 0)
		return result;
	if (!is_found)
		tandem_kv_reply_integer(call->reply, -2);
	else if (record.expiry_ms == TANDEM_KV_EXPIRY_NEVER)
		tandem_kv_reply_integer(call->reply, -1);
	else
		tandem_kv_reply_integer(
		        call->reply,
		        (int64_t)((record.expiry_ms - call->now_ms + unit_ms / 2) / unit_ms));
	return 0;
}

int tandem_kv_run_ttl(struct tandem_kv_call *call)
{
	return key_ttl(call, 1000);
}

int tandem_kv_run_pttl(struct tandem_kv_call *call)
{
	return key_ttl(call, 1);
}

static int key_set_expiry(struct tandem_kv_call *call, int64_t unit_ms, const char *command)
{
	const struct tandem_kv_arg *key = &call->args[1];
	struct tandem_kv_record record;
	int64_t number;
	bool is_found;

	if (!tandem_kv_call_arg_integer(call, 2, &number))
		return 0;
	if (number > INT64_MAX / 2 / unit_ms || number < -(INT64_MAX / 2 / unit_ms)) {
		tandem_kv_reply_errorf(call->reply, "ERR invalid expire time in '%s' command",
		                       command);
		return 0;
	}
	int result = tandem_kv_call_get(call, 1, &is_found, &record);
	if (result != 0)
		return result;
	tandem_kv_reply_integer(call->reply, is_found);
	if (!is_found)
		return 0;
	if (number <= 0)
		return tandem_kv_store_delete(call->store, key->bytes, key->length);
	return tandem_kv_store_set_expiry(call->store, key->bytes, key->length,
	                                  call->now_ms + (uint64_t)(number * unit_ms));
}

int tandem_kv_run_expire(struct tandem_kv_call *call)
{
	return key_set_expiry(call, 1000, "expire");
}

int tandem_kv_run_pexpire(struct tandem_kv_call *call)
{
	return key_set_expiry(call, 1, "pexpire");
}

int tandem_kv_run_persist(struct tandem_kv_call *call)
{
	const struct tandem_kv_arg *key = &call->args[1];
	struct tandem_kv_record record;
	bool is_found;
	int result = tandem_kv_call_get(call, 1, &is_found, &record);

	if (result != 0)
		return result;
	bool is_changed = is_found && record.expiry_ms != TANDEM_KV_EXPIRY_NEVER;
	tandem_kv_reply_integer(call->reply, is_changed);
	if (!is_changed)
		return 0;
	return tandem_kv_store_set_expiry(call->store, key->bytes, key->length,
	                                  TANDEM_KV_EXPIRY_NEVER);
}

int tandem_kv_run_dbsize(struct tandem_kv_call *call)
{
	uint64_t count;
	int result = tandem_kv_store_count(call->store, &count);

	if (result == 0)
		tandem_kv_reply_integer(call->reply, (int64_t)count);
	return result;
}

struct key_scan {
	struct tandem_kv_call *call;
	const struct tandem_kv_arg *pattern; /* NULL: every key */
	size_t count;
	bool is_type_wrong; /* TYPE of something that is never stored here */
	bool is_counting;
	size_t matches;
};

static void key_scan_visit(void *context, const void *key, size_t key_length,
                           const struct tandem_kv_record *record)
{
	struct key_scan *scan = context;

	if (scan->is_type_wrong || tandem_kv_record_is_expired(record, scan->call->now_ms))
		return;
	if (scan->pattern &&
	    !tandem_kv_glob_match(scan->pattern->bytes, scan->pattern->length, key, key_length))
		return;
	if (scan->is_counting)
		scan->matches++;
	else
		tandem_kv_reply_bulk(scan->call->reply, key, key_length);
}

/* False after an error reply. */
static bool key_scan_options(struct tandem_kv_call *call, struct key_scan *scan)
{
	for (size_t i = 2; i < call->arg_count; i += 2) {
		int64_t count;

		if (i + 1 == call->arg_count) {
			tandem_kv_call_syntax_error(call);
			return false;
		}
		if (tandem_kv_call_arg_is(call, i, "match")) {
			scan->pattern = &call->args[i + 1];
		} else if (tandem_kv_call_arg_is(call, i, "type")) {
			scan->is_type_wrong = !tandem_kv_call_arg_is(call, i + 1, "string");
		} else if (tandem_kv_call_arg_is(call, i, "count")) {
			if (!tandem_kv_call_arg_integer(call, i + 1, &count))
				return false;
			if (count < 1) {
				tandem_kv_call_syntax_error(call);
				return false;
			}
			scan->count = count < SCAN_COUNT_MAX ? (size_t)count : SCAN_COUNT_MAX;
		} else {
			tandem_kv_call_syntax_error(call);
			return false;
		}
	}
	return true;
}

int tandem_kv_run_scan(struct tandem_kv_call *call)
{
	struct key_scan scan = {.call = call, .count = SCAN_COUNT_DEFAULT, .is_counting = true};
	char text[TANDEM_KV_NUMBER_BYTES];
	uint64_t position;
	uint64_t next;

	if (!tandem_kv_number_parse_unsigned(call->args[1].bytes, call->args[1].length,
	                                     &position)) {
		tandem_kv_reply_error(call->reply, "ERR invalid cursor");
		return 0;
	}
	if (!key_scan_options(call, &scan))
		return 0;
	/* Twice over the same records, because the reply says first how many follow. */
	int result = tandem_kv_store_scan(call->store, position, scan.count, key_scan_visit, &scan,
	                                  &next);
	if (result != 0)
		return result;
	tandem_kv_reply_array(call->reply, 2);
	tandem_kv_reply_bulk(call->reply, text, tandem_kv_number_format_unsigned(next, text));
	tandem_kv_reply_array(call->reply, scan.matches);
	scan.is_counting = false;
	return tandem_kv_store_scan(call->store, position, scan.count, key_scan_visit, &scan,
	                            &next);
}

int tandem_kv_run_flushall(struct tandem_kv_call *call)
{
	bool is_known = call->arg_count == 1 ||
	                (call->arg_count == 2 && (tandem_kv_call_arg_is(call, 1, "sync") ||
	                                          tandem_kv_call_arg_is(call, 1, "async")));

	if (!is_known)
		return tandem_kv_call_syntax_error(call);
	tandem_kv_reply_status(call->reply, "OK");
	return tandem_kv_store_clear(call->store);
}
