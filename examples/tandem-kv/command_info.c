#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

struct info_text {
	char bytes[2048];
	size_t length;
};

static void info_add(struct info_text *text, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

static void info_add(struct info_text *text, const char *format, ...)
{
	size_t room = sizeof(text->bytes) - text->length;
	va_list arguments;

	va_start(arguments, format);
	int length = vsnprintf(text->bytes + text->length, room, format, arguments);
	va_end(arguments);
	if (length > 0)
		text->length += (size_t)length < room ? (size_t)length : room - 1;
}

static int info_server(struct tandem_kv_call *call, struct info_text *text)
{
	const struct tandem_kv_facts *facts = call->facts;
	uint64_t uptime_ms =
	        call->now_ms > facts->started_ms ? call->now_ms - facts->started_ms : 0;

	info_add(text,
	         "# Server\r\nredis_version:7.0.0\r\nserver_name:tandem-kv\r\n"
	         "tandem_version:%s\r\nredis_mode:standalone\r\nprocess_id:%ld\r\n"
	         "tcp_port:%u\r\nuptime_in_seconds:%llu\r\n",
	         TANDEM_KV_VERSION, (long)getpid(), facts->port,
	         (unsigned long long)(uptime_ms / 1000));
	return 0;
}

static int info_clients(struct tandem_kv_call *call, struct info_text *text)
{
	info_add(text, "# Clients\r\nconnected_clients:%llu\r\nmaxclients:%llu\r\n",
	         (unsigned long long)call->facts->clients,
	         (unsigned long long)call->facts->clients_max);
	return 0;
}

static int info_memory(struct tandem_kv_call *call, struct info_text *text)
{
	info_add(text,
	         "# Memory\r\nmaxmemory:%zu\r\nmaxmemory_policy:noeviction\r\nmap_bytes:%zu\r\n",
	         call->facts->map_bytes, call->facts->map_bytes);
	return 0;
}

static int info_persistence(struct tandem_kv_call *call, struct info_text *text)
{
	(void)call;
	info_add(text, "# Persistence\r\nloading:0\r\naof_enabled:0\r\n");
	return 0;
}

static int info_stats(struct tandem_kv_call *call, struct info_text *text)
{
	const struct tandem_kv_facts *facts = call->facts;

	info_add(text,
	         "# Stats\r\ntotal_connections_received:%llu\r\ntotal_commands_processed:%llu\r\n"
	         "total_turns:%llu\r\n",
	         (unsigned long long)facts->connections_total,
	         (unsigned long long)facts->commands_total, (unsigned long long)facts->turns_total);
	return 0;
}

static int info_replication(struct tandem_kv_call *call, struct info_text *text)
{
	(void)call;
	info_add(text, "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n");
	return 0;
}

static int info_keyspace(struct tandem_kv_call *call, struct info_text *text)
{
	uint64_t count;
	int result = tandem_kv_store_count(call->store, &count);

	if (result != 0)
		return result;
	info_add(text, "# Keyspace\r\n");
	if (count > 0)
		info_add(text, "db0:keys=%llu,expires=0,avg_ttl=0\r\n", (unsigned long long)count);
	return 0;
}

static int info_tandem(struct tandem_kv_call *call, struct info_text *text)
{
	const struct tandem_kv_facts *facts = call->facts;
	const char *role = facts->is_standalone  ? "standalone"
	                   : facts->news.is_pair ? "primary_pair"
	                                         : "primary_solo";

	info_add(
	        text,
	        "# "
	        "Tandem\r\npair:%s\r\ntandem_role:%s\r\ngeneration:%llu\r\nepoch_committed:%llu\r\n"
	        "is_pair:%d\r\nis_takeover:%d\r\n",
	        facts->pair, role, (unsigned long long)facts->news.generation,
	        (unsigned long long)facts->news.epoch_committed, facts->news.is_pair,
	        facts->is_takeover);
	return 0;
}

static const struct {
	const char *name;
	int (*write)(struct tandem_kv_call *call, struct info_text *text);
} info_sections[] = {
        {"server", info_server},     {"clients", info_clients},
        {"memory", info_memory},     {"persistence", info_persistence},
        {"stats", info_stats},       {"replication", info_replication},
        {"keyspace", info_keyspace}, {"tandem", info_tandem},
};

static bool info_is_wanted(const struct tandem_kv_call *call, const char *name)
{
	for (size_t i = 1; i < call->arg_count; i++)
		if (tandem_kv_call_arg_is(call, i, name) || tandem_kv_call_arg_is(call, i, "all") ||
		    tandem_kv_call_arg_is(call, i, "everything") ||
		    tandem_kv_call_arg_is(call, i, "default"))
			return true;
	return call->arg_count == 1;
}

int tandem_kv_run_info(struct tandem_kv_call *call)
{
	struct info_text text = {.length = 0};

	for (size_t i = 0; i < sizeof(info_sections) / sizeof(info_sections[0]); i++) {
		if (!info_is_wanted(call, info_sections[i].name))
			continue;
		if (text.length > 0)
			info_add(&text, "\r\n");
		int result = info_sections[i].write(call, &text);
		if (result != 0)
			return result;
	}
	tandem_kv_reply_bulk(call->reply, text.bytes, text.length);
	return 0;
}
