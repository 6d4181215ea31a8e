/* A gate by itself, for qemu_gate_lab.py: `qemu_gate user TAP SOCKET ROOM` or `qemu_gate plug TAP
 * ROOM`. Orders are lines on standard input: let, mark, promise TICKET, release TICKET, dropped,
 * leave, shut. Each is answered with a number. At the end of the input everything is left as it
 * was. */

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/qemu_gate.h>
#include <tandem/qemu_plug.h>

static struct tandem_qemu_gate *gate;
static struct tandem_qemu_plug *plug;

static uint64_t count_dropped(void)
{
	struct tandem_qemu_gate_counts counts;
	struct tandem_qemu_plug_counts of_plug;

	if (plug) {
		tandem_qemu_plug_count(plug, &of_plug);
		return of_plug.dropped_count;
	}
	tandem_qemu_gate_count(gate, &counts);
	return counts.dropped_count;
}

static int obey_plug(const char *word, uint64_t ticket)
{
	if (strcmp(word, "let") == 0)
		tandem_qemu_plug_let(plug);
	else if (strcmp(word, "mark") == 0)
		return tandem_qemu_plug_mark(plug, NULL);
	else if (strcmp(word, "promise") == 0)
		tandem_qemu_plug_promise(plug, ticket);
	else if (strcmp(word, "release") == 0)
		tandem_qemu_plug_release(plug, ticket);
	else if (strcmp(word, "leave") == 0)
		return tandem_qemu_plug_leave(plug, NULL);
	else if (strcmp(word, "shut") == 0)
		tandem_qemu_plug_shut(plug);
	return (int)tandem_qemu_plug_fault_count(plug);
}

static int obey_gate(const char *word, uint64_t ticket)
{
	if (strcmp(word, "let") == 0)
		tandem_qemu_gate_let(gate);
	else if (strcmp(word, "mark") == 0)
		tandem_qemu_gate_mark(gate);
	else if (strcmp(word, "promise") == 0)
		tandem_qemu_gate_promise(gate, ticket);
	else if (strcmp(word, "release") == 0)
		tandem_qemu_gate_release(gate, ticket);
	return 0;
}

static void obey(const char *line)
{
	char word[16] = "";
	uint64_t ticket = 0;

	(void)sscanf(line, "%15s %" SCNu64, word, &ticket);
	if (strcmp(word, "dropped") == 0)
		printf("%" PRIu64 "\n", count_dropped());
	else
		printf("%d\n", plug ? obey_plug(word, ticket) : obey_gate(word, ticket));
	fflush(stdout);
}

static void on_input(struct bufferevent *input, void *context)
{
	char *line;

	(void)context;
	while ((line = evbuffer_readln(bufferevent_get_input(input), NULL, EVBUFFER_EOL_LF))) {
		obey(line);
		free(line);
	}
}

static void on_end(struct bufferevent *input, short what, void *context)
{
	(void)input;
	(void)what;
	event_base_loopbreak(context);
}

static int open_gate(struct event_base *base, int count, char **arguments,
                     struct tandem_error *reterr_error)
{
	const size_t room_bytes = (size_t)strtoul(arguments[count - 1], NULL, 10);
	const struct tandem_qemu_plug_options by_kernel = {.interface = arguments[2],
	                                                   .room_bytes = room_bytes};
	const struct tandem_qemu_gate_options by_program = {.socket_path = arguments[3],
	                                                    .outside = arguments[2],
	                                                    .outside_path = "",
	                                                    .room_bytes = room_bytes};

	return count == 4 ? tandem_qemu_plug_open(&by_kernel, &plug, reterr_error)
	                  : tandem_qemu_gate_open(base, &by_program, &gate, reterr_error);
}

int main(int count, char **arguments)
{
	struct event_base *base = event_base_new();
	struct bufferevent *input = bufferevent_socket_new(base, 0, 0);
	struct tandem_error error;

	if (count < 4 || count > 5 || !input)
		return 2;
	if (open_gate(base, count, arguments, &error) != 0) {
		fprintf(stderr, "%s\n", error.detail);
		return 1;
	}
	puts("0");
	fflush(stdout);
	bufferevent_setcb(input, on_input, NULL, on_end, base);
	bufferevent_enable(input, EV_READ);
	event_base_dispatch(base);
	tandem_qemu_gate_close(gate);
	tandem_qemu_plug_close(plug);
	bufferevent_free(input);
	event_base_free(base);
	return 0;
}
