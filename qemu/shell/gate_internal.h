#ifndef TANDEM_QEMU_GATE_INTERNAL_H
#define TANDEM_QEMU_GATE_INTERNAL_H

#include <tandem/qemu_gate.h>

#include "core/frames.h"
#include "shell/gate_outside.h"

/* What gate.c and gate_hand.c share. */
#define TANDEM_QEMU_GATE_RECORD_BYTES (TANDEM_QEMU_FRAME_HEAD_BYTES + TANDEM_QEMU_FRAME_BYTES_MAX)
#define TANDEM_QEMU_GATE_INPUT_BYTES  (4 * (size_t)TANDEM_QEMU_GATE_RECORD_BYTES)

struct tandem_qemu_gate {
	struct event_base *base;
	char socket_path[TANDEM_UNIX_PATH_BYTES];
	char outside_name[TANDEM_UNIX_PATH_BYTES];
	struct tandem_qemu_outside outside;
	struct tandem_qemu_frames frames;
	struct tandem_qemu_gate_counts counts;
	uint8_t *room;
	size_t room_bytes;
	uint8_t *frame; /* on its way out */
	struct event *outside_readable;
	struct event *outside_writable;

	/* QEMU's connection. */
	struct evconnlistener *listener;
	struct event *readable;
	struct event *writable;
	int fd;
	uint8_t *input; /* not decoded yet */
	size_t input_bytes;
	uint8_t *record; /* for the guest: a frame behind its head */
	size_t record_bytes;
	size_t record_sent_bytes; /* less than record_bytes: QEMU has to make room first */
};

/* Nothing of it is open yet: tandem_qemu_gate_close() takes it. */
int tandem_qemu_gate_new(struct event_base *base, const struct tandem_qemu_gate_options *options,
                         struct tandem_qemu_gate **ret_gate, struct tandem_error *reterr_error);
/* Its `outside` is open: serves it, and who connects to `fd`, which listens at `path`. Takes the
 * descriptor. */
int tandem_qemu_gate_begin(struct tandem_qemu_gate *gate, const char *path, int fd,
                           struct tandem_error *reterr_error);
/* QEMU's end is `fd`, which is taken. False: it has one. */
bool tandem_qemu_gate_connect(struct tandem_qemu_gate *gate, int fd);
/* Takes the whole frames out of its input. */
void tandem_qemu_gate_decode(struct tandem_qemu_gate *gate);

#endif
