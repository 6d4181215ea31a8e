#include "command.h"

#include <string.h>
#include <strings.h>

#define WRITES TANDEM_KV_COMMAND_WRITES
#define GROWS  (TANDEM_KV_COMMAND_WRITES | TANDEM_KV_COMMAND_GROWS)
#define CLEARS (TANDEM_KV_COMMAND_WRITES | TANDEM_KV_COMMAND_CLEARS)

/* Sorted by name. */
static const struct tandem_kv_command commands[] = {
        {"auth", -2, 0, 0, 0, 0, tandem_kv_run_auth},
        {"client", -2, 0, 0, 0, 0, tandem_kv_run_client},
        {"command", -1, 0, 0, 0, 0, tandem_kv_run_command},
        {"config", -2, 0, 0, 0, 0, tandem_kv_run_config},
        {"dbsize", 1, 0, 0, 0, 0, tandem_kv_run_dbsize},
        {"decr", 2, GROWS, 1, 1, 1, tandem_kv_run_decr},
        {"decrby", 3, GROWS, 1, 1, 1, tandem_kv_run_decrby},
        {"del", -2, WRITES, 1, -1, 1, tandem_kv_run_del},
        {"echo", 2, 0, 0, 0, 0, tandem_kv_run_echo},
        {"exists", -2, 0, 1, -1, 1, tandem_kv_run_exists},
        {"expire", 3, WRITES, 1, 1, 1, tandem_kv_run_expire},
        {"flushall", -1, CLEARS, 0, 0, 0, tandem_kv_run_flushall},
        {"flushdb", -1, CLEARS, 0, 0, 0, tandem_kv_run_flushall},
        {"get", 2, 0, 1, 1, 1, tandem_kv_run_get},
        {"getset", 3, GROWS, 1, 1, 1, tandem_kv_run_getset},
        {"hello", -1, 0, 0, 0, 0, tandem_kv_run_hello},
        {"incr", 2, GROWS, 1, 1, 1, tandem_kv_run_incr},
        {"incrby", 3, GROWS, 1, 1, 1, tandem_kv_run_incrby},
        {"info", -1, 0, 0, 0, 0, tandem_kv_run_info},
        {"mget", -2, 0, 1, -1, 1, tandem_kv_run_mget},
        {"mset", -3, GROWS, 1, -1, 2, tandem_kv_run_mset},
        {"persist", 2, WRITES, 1, 1, 1, tandem_kv_run_persist},
        {"pexpire", 3, WRITES, 1, 1, 1, tandem_kv_run_pexpire},
        {"ping", -1, 0, 0, 0, 0, tandem_kv_run_ping},
        {"psetex", 4, GROWS, 1, 1, 1, tandem_kv_run_psetex},
        {"pttl", 2, 0, 1, 1, 1, tandem_kv_run_pttl},
        {"quit", -1, 0, 0, 0, 0, tandem_kv_run_quit},
        {"scan", -2, 0, 0, 0, 0, tandem_kv_run_scan},
        {"select", 2, 0, 0, 0, 0, tandem_kv_run_select},
        {"set", -3, GROWS, 1, 1, 1, tandem_kv_run_set},
        {"setex", 4, GROWS, 1, 1, 1, tandem_kv_run_setex},
        {"setnx", 3, GROWS, 1, 1, 1, tandem_kv_run_setnx},
        {"strlen", 2, 0, 1, 1, 1, tandem_kv_run_strlen},
        {"ttl", 2, 0, 1, 1, 1, tandem_kv_run_ttl},
        {"type", 2, 0, 1, 1, 1, tandem_kv_run_type},
        {"unlink", -2, WRITES, 1, -1, 1, tandem_kv_run_del},
};

static int command_run_unknown(struct tandem_kv_call *call)
{
	char name[128];

	tandem_kv_call_arg_text(&call->args[0], name, sizeof(name));
	tandem_kv_reply_errorf(call->reply, "ERR unknown command '%s'", name);
	return 0;
}

static int command_run_wrong_arity(struct tandem_kv_call *call)
{
	char name[128];

	tandem_kv_call_arg_text(&call->args[0], name, sizeof(name));
	for (char *at = name; *at; at++)
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at - 'A' + 'a');
	tandem_kv_reply_errorf(call->reply, "ERR wrong number of arguments for '%s' command", name);
	return 0;
}

static int command_run_wrong_key(struct tandem_kv_call *call)
{
	tandem_kv_reply_errorf(call->reply, "ERR keys have 1 to %d bytes here", TANDEM_KV_KEY_MAX);
	return 0;
}

static int command_run_protocol_error(struct tandem_kv_call *call)
{
	char text[64];

	tandem_kv_call_arg_text(&call->args[0], text, sizeof(text));
	tandem_kv_reply_errorf(call->reply, "ERR Protocol error: %s", text);
	call->session->is_closing = true;
	return 0;
}

static const struct tandem_kv_command command_unknown = {.run = command_run_unknown};
static const struct tandem_kv_command command_wrong_arity = {.run = command_run_wrong_arity};
static const struct tandem_kv_command command_wrong_key = {.run = command_run_wrong_key};
const struct tandem_kv_command tandem_kv_command_protocol_error = {
        .run = command_run_protocol_error};

static int command_order(const struct tandem_kv_arg *name, const char *text)
{
	size_t length = strlen(text);
	size_t common = name->length < length ? name->length : length;
	int order = strncasecmp((const char *)name->bytes, text, common);

	return order != 0 ? order : (name->length > length) - (name->length < length);
}

static const struct tandem_kv_command *command_search(const struct tandem_kv_arg *name)
{
	size_t low = 0;
	size_t high = sizeof(commands) / sizeof(commands[0]);

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = command_order(name, commands[middle].name);

		if (order == 0)
			return &commands[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return &command_unknown;
}

static bool command_keys_fit(const struct tandem_kv_command *command,
                             const struct tandem_kv_arg *args, size_t count)
{
	if (command->key_first == 0)
		return true;
	size_t last = command->key_last < 0 ? count - (size_t)-command->key_last
	                                    : (size_t)command->key_last;
	for (size_t i = (size_t)command->key_first; i <= last; i += (size_t)command->key_step)
		if (args[i].length == 0 || args[i].length > TANDEM_KV_KEY_MAX)
			return false;
	return true;
}

const struct tandem_kv_command *tandem_kv_command_find(const struct tandem_kv_arg *args,
                                                       size_t count)
{
	const struct tandem_kv_command *command = command_search(&args[0]);

	if (command == &command_unknown)
		return command;
	if (command->arity > 0 ? count != (size_t)command->arity : count < (size_t)-command->arity)
		return &command_wrong_arity;
	if (!command_keys_fit(command, args, count))
		return &command_wrong_key;
	return command;
}

size_t tandem_kv_command_count(void)
{
	return sizeof(commands) / sizeof(commands[0]);
}
