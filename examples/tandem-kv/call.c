#include "call.h"

#include <string.h>
#include <strings.h>

#include "number.h"

bool tandem_kv_call_arg_is(const struct tandem_kv_call *call, size_t index, const char *text)
{
	const struct tandem_kv_arg *arg = &call->args[index];

	return arg->length == strlen(text) &&
	       strncasecmp((const char *)arg->bytes, text, arg->length) == 0;
}

bool tandem_kv_call_arg_integer(const struct tandem_kv_call *call, size_t index,
                                int64_t *ret_number)
{
	const struct tandem_kv_arg *arg = &call->args[index];

	if (tandem_kv_number_parse(arg->bytes, arg->length, ret_number))
		return true;
	tandem_kv_reply_error(call->reply, "ERR value is not an integer or out of range");
	return false;
}

int tandem_kv_call_syntax_error(struct tandem_kv_call *call)
{
	tandem_kv_reply_error(call->reply, "ERR syntax error");
	return 0;
}

void tandem_kv_call_arg_text(const struct tandem_kv_arg *arg, char *ret_text, size_t size)
{
	size_t length = arg->length < size - 1 ? arg->length : size - 1;

	for (size_t i = 0; i < length; i++)
		ret_text[i] =
		        arg->bytes[i] >= 0x20 && arg->bytes[i] < 0x7f ? (char)arg->bytes[i] : '?';
	ret_text[length] = '\0';
}

int tandem_kv_call_get(struct tandem_kv_call *call, size_t key_index, bool *ret_is_found,
                       struct tandem_kv_record *ret_record)
{
	const struct tandem_kv_arg *key = &call->args[key_index];
	bool is_found;
	int result =
	        tandem_kv_store_get(call->store, key->bytes, key->length, &is_found, ret_record);

	if (result == 0)
		*ret_is_found = is_found && !tandem_kv_record_is_expired(ret_record, call->now_ms);
	return result;
}
