#include "fake_qemu.h"

#include <criterion/criterion.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define GREETING                                                                                   \
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, "         \
	"\"package\": \"\"}, \"capabilities\": [\"oob\"]}}\n"

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	cr_assert_lt(strlen(path), sizeof(address.sun_path));
	strcpy(address.sun_path, path);
	return address;
}

static void send_stream(struct fake_qemu *qemu)
{
	const struct sockaddr_un address = address_of(qemu->stream_path);

	if (qemu->fd >= 0)
		close(qemu->fd);
	qemu->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(connect(qemu->fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(write(qemu->fd, qemu->stream, qemu->stream_bytes),
	             (ssize_t)qemu->stream_bytes);
}

/* What it knows of itself; NULL: nothing that is asked here. */
static const char *self(const struct fake_qemu *qemu, const char *command, const char *line)
{
	if (strcmp(command, "query-memdev") == 0)
		return "[{\"id\": \"ram\", \"share\": true, \"size\": 4096}]";
	if (strcmp(command, "query-cpus-fast") == 0)
		return "[{\"qom-path\": \"/machine/unattached/device[0]\"}]";
	if (strcmp(command, "query-yank") == 0)
		return qemu->puts_away ? "[{\"type\": \"chardev\", \"id\": \"a\"}, "
		                         "{\"type\": \"migration\"}]"
		                       : "[{\"type\": \"chardev\", \"id\": \"a\"}]";
	if (strcmp(command, "human-monitor-command") == 0)
		return "\"\"";
	if (strcmp(command, "query-block") == 0 || strcmp(command, "qom-list") == 0)
		return "[]";
	if (strcmp(command, "qom-get") != 0)
		return NULL;
	if (strstr(line, "\"mem-path\""))
		return "\"/dev/shm/ram\"";
	return qemu->has_guests && strstr(line, "\"vmx\"") ? "true" : "false";
}

static void answer(struct fake_qemu *qemu, const char *command, const char *line, int id)
{
	const char *known = self(qemu, command, line);
	struct evbuffer *out = bufferevent_get_output(qemu->client);

	if (qemu->refused && strcmp(command, qemu->refused) == 0)
		evbuffer_add_printf(out,
		                    "{\"error\": {\"class\": \"GenericError\", \"desc\": "
		                    "\"there is a blocker\"}, \"id\": %d}\n",
		                    id);
	else if (strcmp(command, "query-status") == 0)
		evbuffer_add_printf(out,
		                    "{\"return\": {\"running\": %s, \"status\": \"%s\"}, "
		                    "\"id\": %d}\n",
		                    strcmp(qemu->status, "running") == 0 ? "true" : "false",
		                    qemu->status, id);
	else if (strcmp(command, "query-migrate-capabilities") == 0)
		evbuffer_add_printf(out,
		                    "{\"return\": [{\"capability\": \"%s\", \"state\": true}, "
		                    "{\"capability\": \"x-colo\", \"state\": false}], "
		                    "\"id\": %d}\n",
		                    qemu->on ? qemu->on : "events", id);
	else if (strcmp(command, "query-kvm") == 0)
		evbuffer_add_printf(out, "{\"return\": {\"enabled\": true}, \"id\": %d}\n", id);
	else
		evbuffer_add_printf(out, "{\"return\": %s, \"id\": %d}\n", known ? known : "{}",
		                    id);
}

static void take_line(struct fake_qemu *qemu, const char *line)
{
	const char *command = strchr(strstr(line, "\"exec") + 1, ':') + 2;
	const int id = atoi(strstr(line, "\"id\":") + 5);
	const size_t length = strlen(qemu->orders);
	char word[64];

	snprintf(word, sizeof(word), "%.*s", (int)strcspn(command, "\""), command);
	if (strcmp(word, "qmp_capabilities") != 0)
		snprintf(qemu->orders + length, FAKE_ORDERS_BYTES - length, "%s ", word);
	if (strcmp(word, "migrate-set-capabilities") == 0)
		snprintf(qemu->capabilities, sizeof(qemu->capabilities), "%s", line);
	answer(qemu, word, line, id);
	if (strcmp(word, "migrate") == 0 && qemu->stream_bytes > 0)
		send_stream(qemu);
}

static void on_read(struct bufferevent *client, void *context)
{
	char *line;

	while ((line = evbuffer_readln(bufferevent_get_input(client), NULL, EVBUFFER_EOL_LF))) {
		take_line(context, line);
		free(line);
	}
}

static void on_client(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
                      int from_length, void *context)
{
	struct fake_qemu *qemu = context;

	(void)listener;
	(void)from;
	(void)from_length;
	if (qemu->client)
		bufferevent_free(qemu->client);
	qemu->client = bufferevent_socket_new(qemu->base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(qemu->client, on_read, NULL, NULL, qemu);
	bufferevent_enable(qemu->client, EV_READ);
	evbuffer_add_printf(bufferevent_get_output(qemu->client), GREETING);
}

void fake_qemu_open(struct fake_qemu *qemu, struct event_base *base)
{
	*qemu = (struct fake_qemu){
	        .base = base, .folder = "/tmp/fake_qemu_XXXXXX", .status = "running", .fd = -1};
	cr_assert_not_null(mkdtemp(qemu->folder));
	snprintf(qemu->qmp_path, sizeof(qemu->qmp_path), "%s/qmp", qemu->folder);
	snprintf(qemu->stream_path, sizeof(qemu->stream_path), "%s/stream", qemu->folder);
	const struct sockaddr_un address = address_of(qemu->qmp_path);
	qemu->listener =
	        evconnlistener_new_bind(base, on_client, qemu, LEV_OPT_CLOSE_ON_FREE, 4,
	                                (const struct sockaddr *)&address, (int)sizeof(address));
	cr_assert_not_null(qemu->listener);
}

void fake_qemu_tell(struct fake_qemu *qemu, const char *event)
{
	evbuffer_add_printf(bufferevent_get_output(qemu->client),
	                    "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 0}, \"event\": "
	                    "\"%s\"}\n",
	                    event);
}

unsigned fake_qemu_count(const struct fake_qemu *qemu, const char *order)
{
	char word[64];
	unsigned count = 0;

	snprintf(word, sizeof(word), "%s ", order);
	for (const char *at = qemu->orders; (at = strstr(at, word)); at += strlen(word))
		count += at == qemu->orders || at[-1] == ' ';
	return count;
}

void fake_qemu_close(struct fake_qemu *qemu)
{
	if (qemu->client)
		bufferevent_free(qemu->client);
	evconnlistener_free(qemu->listener);
	if (qemu->fd >= 0)
		close(qemu->fd);
	(void)unlink(qemu->qmp_path);
	(void)unlink(qemu->stream_path);
	cr_assert_eq(rmdir(qemu->folder), 0);
}
