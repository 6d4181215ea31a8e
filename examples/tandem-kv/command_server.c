#include <stdio.h>
#include <string.h>

#include "command.h"
#include "glob.h"

int tandem_kv_run_ping(struct tandem_kv_call *call)
{
	if (call->arg_count > 2)
		tandem_kv_reply_error(call->reply,
		                      "ERR wrong number of arguments for 'ping' command");
	else if (call->arg_count == 2)
		tandem_kv_reply_bulk(call->reply, call->args[1].bytes, call->args[1].length);
	else
		tandem_kv_reply_status(call->reply, "PONG");
	return 0;
}

int tandem_kv_run_echo(struct tandem_kv_call *call)
{
	tandem_kv_reply_bulk(call->reply, call->args[1].bytes, call->args[1].length);
	return 0;
}

int tandem_kv_run_quit(struct tandem_kv_call *call)
{
	tandem_kv_reply_status(call->reply, "OK");
	call->session->is_closing = true;
	return 0;
}

int tandem_kv_run_select(struct tandem_kv_call *call)
{
	int64_t number;

	if (!tandem_kv_call_arg_integer(call, 1, &number))
		return 0;
	if (number == 0)
		tandem_kv_reply_status(call->reply, "OK");
	else
		tandem_kv_reply_error(call->reply, "ERR DB index is out of range");
	return 0;
}

int tandem_kv_run_auth(struct tandem_kv_call *call)
{
	tandem_kv_reply_error(call->reply, "ERR AUTH called without any password configured");
	return 0;
}

/* A name as CLIENT LIST can show it. False after an error reply. */
static bool server_set_text(struct tandem_kv_call *call, size_t index, char *text, size_t size)
{
	const struct tandem_kv_arg *arg = &call->args[index];

	for (size_t i = 0; i < arg->length; i++)
		if (arg->bytes[i] < '!' || arg->bytes[i] > '~') {
			tandem_kv_reply_error(call->reply,
			                      "ERR Client names cannot contain spaces, newlines or "
			                      "special characters.");
			return false;
		}
	if (arg->length >= size) {
		tandem_kv_reply_errorf(call->reply, "ERR names have at most %zu bytes here",
		                       size - 1);
		return false;
	}
	memcpy(text, arg->bytes, arg->length);
	text[arg->length] = '\0';
	return true;
}

static void server_reply_hello(struct tandem_kv_call *call)
{
	struct tandem_kv_buffer *reply = call->reply;

	tandem_kv_reply_array(reply, 14);
	tandem_kv_reply_text(reply, "server");
	tandem_kv_reply_text(reply, "tandem-kv");
	tandem_kv_reply_text(reply, "version");
	tandem_kv_reply_text(reply, TANDEM_KV_VERSION);
	tandem_kv_reply_text(reply, "proto");
	tandem_kv_reply_integer(reply, 2);
	tandem_kv_reply_text(reply, "id");
	tandem_kv_reply_integer(reply, (int64_t)call->session->id);
	tandem_kv_reply_text(reply, "mode");
	tandem_kv_reply_text(reply, "standalone");
	tandem_kv_reply_text(reply, "role");
	tandem_kv_reply_text(reply, "master");
	tandem_kv_reply_text(reply, "modules");
	tandem_kv_reply_array(reply, 0);
}

int tandem_kv_run_hello(struct tandem_kv_call *call)
{
	char name[sizeof(call->session->name)];
	bool is_named = false;

	if (call->arg_count > 1 && !tandem_kv_call_arg_is(call, 1, "2")) {
		tandem_kv_reply_error(call->reply, "NOPROTO unsupported protocol version");
		return 0;
	}
	for (size_t i = 2; i < call->arg_count; i += 2) {
		if (tandem_kv_call_arg_is(call, i, "auth"))
			return tandem_kv_run_auth(call);
		if (!tandem_kv_call_arg_is(call, i, "setname") || i + 1 == call->arg_count)
			return tandem_kv_call_syntax_error(call);
		if (!server_set_text(call, i + 1, name, sizeof(name)))
			return 0;
		is_named = true;
	}
	if (is_named)
		memcpy(call->session->name, name, sizeof(name));
	server_reply_hello(call);
	return 0;
}

static int server_unknown_subcommand(struct tandem_kv_call *call)
{
	char name[64];

	tandem_kv_call_arg_text(&call->args[1], name, sizeof(name));
	tandem_kv_reply_errorf(call->reply,
	                       "ERR unknown subcommand '%s' or wrong number of "
	                       "arguments for it",
	                       name);
	return 0;
}

static void server_reply_client(struct tandem_kv_call *call, const char *end)
{
	const struct tandem_kv_session *session = call->session;
	char text[512];

	/* Clients parse all of these; what is not counted here is 0. */
	(void)snprintf(text, sizeof(text),
	               "id=%llu addr=%s name=%s age=0 idle=0 flags=N db=0 sub=0 psub=0 multi=-1 "
	               "qbuf=0 qbuf-free=0 argv-mem=0 obl=0 oll=0 omem=0 tot-mem=0 events=r "
	               "cmd=client user=default resp=2 lib-name=%s lib-ver=%s%s",
	               (unsigned long long)session->id, session->peer, session->name,
	               session->library_name, session->library_version, end);
	tandem_kv_reply_text(call->reply, text);
}

static int server_client_setinfo(struct tandem_kv_call *call)
{
	struct tandem_kv_session *session = call->session;
	bool is_set;

	if (tandem_kv_call_arg_is(call, 2, "lib-name"))
		is_set = server_set_text(call, 3, session->library_name,
		                         sizeof(session->library_name));
	else if (tandem_kv_call_arg_is(call, 2, "lib-ver"))
		is_set = server_set_text(call, 3, session->library_version,
		                         sizeof(session->library_version));
	else
		return tandem_kv_call_syntax_error(call);
	if (is_set)
		tandem_kv_reply_status(call->reply, "OK");
	return 0;
}

int tandem_kv_run_client(struct tandem_kv_call *call)
{
	struct tandem_kv_session *session = call->session;
	size_t count = call->arg_count;

	if (tandem_kv_call_arg_is(call, 1, "setname") && count == 3) {
		if (server_set_text(call, 2, session->name, sizeof(session->name)))
			tandem_kv_reply_status(call->reply, "OK");
	} else if (tandem_kv_call_arg_is(call, 1, "getname") && count == 2) {
		tandem_kv_reply_text(call->reply, session->name);
	} else if (tandem_kv_call_arg_is(call, 1, "id") && count == 2) {
		tandem_kv_reply_integer(call->reply, (int64_t)session->id);
	} else if (tandem_kv_call_arg_is(call, 1, "setinfo") && count == 4) {
		return server_client_setinfo(call);
	} else if (tandem_kv_call_arg_is(call, 1, "list") ||
	           tandem_kv_call_arg_is(call, 1, "info")) {
		/* Only the asking client: the others' state is no part of any epoch. */
		server_reply_client(call, tandem_kv_call_arg_is(call, 1, "list") ? "\n" : "");
	} else {
		return server_unknown_subcommand(call);
	}
	return 0;
}

int tandem_kv_run_command(struct tandem_kv_call *call)
{
	if (call->arg_count == 1 || tandem_kv_call_arg_is(call, 1, "docs"))
		tandem_kv_reply_array(call->reply, 0);
	else if (tandem_kv_call_arg_is(call, 1, "count") && call->arg_count == 2)
		tandem_kv_reply_integer(call->reply, (int64_t)tandem_kv_command_count());
	else
		return server_unknown_subcommand(call);
	return 0;
}

struct server_setting {
	const char *name;
	char value[32];
};

static bool server_setting_is_wanted(const struct tandem_kv_call *call, const char *name)
{
	for (size_t i = 2; i < call->arg_count; i++)
		if (tandem_kv_call_arg_is(call, i, name) ||
		    tandem_kv_glob_match(call->args[i].bytes, call->args[i].length, name,
		                         strlen(name)))
			return true;
	return false;
}

int tandem_kv_run_config(struct tandem_kv_call *call)
{
	struct server_setting settings[] = {
	        {"save", ""},       {"appendonly", "no"},       {"maxmemory", ""},
	        {"maxclients", ""}, {"databases", "1"},         {"maxmemory-policy", "noeviction"},
	        {"port", ""},       {"proto-max-bulk-len", ""},
	};
	size_t count = sizeof(settings) / sizeof(settings[0]);
	size_t wanted = 0;

	if (!tandem_kv_call_arg_is(call, 1, "get") || call->arg_count < 3)
		return server_unknown_subcommand(call);
	(void)snprintf(settings[2].value, sizeof(settings[2].value), "%zu", call->facts->map_bytes);
	(void)snprintf(settings[3].value, sizeof(settings[3].value), "%llu",
	               (unsigned long long)call->facts->clients_max);
	(void)snprintf(settings[6].value, sizeof(settings[6].value), "%u", call->facts->port);
	(void)snprintf(settings[7].value, sizeof(settings[7].value), "%zu", TANDEM_KV_BULK_MAX);
	for (size_t i = 0; i < count; i++)
		wanted += server_setting_is_wanted(call, settings[i].name);
	tandem_kv_reply_array(call->reply, wanted * 2);
	for (size_t i = 0; i < count; i++)
		if (server_setting_is_wanted(call, settings[i].name)) {
			tandem_kv_reply_text(call->reply, settings[i].name);
			tandem_kv_reply_text(call->reply, settings[i].value);
		}
	return 0;
}
