#ifndef TANDEM_QEMU_GUEST_INTERNAL_H
#define TANDEM_QEMU_GUEST_INTERNAL_H

#include <event2/event.h>
#include <event2/listener.h>

#include "core/peer.h"
#include <tandem/qemu_restore.h>
#include <tandem/qemu_version.h>
#include <tandem/qemu_guest.h>
#include <tandem/unix_socket.h>
#include "shell/qmp.h"

enum tandem_qemu_guest_phase {
	TANDEM_QEMU_GUEST_STARTING,  /* until QEMU has been told to send */
	TANDEM_QEMU_GUEST_PROTECTED, /* the peer decides */
	TANDEM_QEMU_GUEST_RELEASING, /* QEMU is told to let the guest go */
	TANDEM_QEMU_GUEST_OVER,
};

struct tandem_qemu_guest {
	struct event_base *base;
	struct tandem_qemu_guest_options options;
	char stream_path[TANDEM_UNIX_PATH_BYTES]; /* empty until it is there */
	struct tandem_qemu_guest_handler handler;
	enum tandem_qemu_guest_phase phase;

	/* The conversation with QEMU (guest_control.c, guest_settings.c). */
	struct tandem_qmp *qmp;
	struct tandem_qemu_numbers version;
	bool has_kvm;
	struct tandem_qemu_rule rule;
	bool is_restoring;             /* it is being restored, and is not to run yet */
	bool is_starting;              /* it is restored, and QEMU is to run it */
	struct tandem_error unstarted; /* why it does not run yet; code 0: it was not refused */
	bool is_hurrying;
	uint64_t stopped_ns; /* when a checkpoint stopped it; 0: it runs */
	bool is_awaited;     /* it does not run yet, or is not restored; an event tells */
	bool is_looking;     /* whether it runs: QEMU has yet to answer */
	bool has_changed;    /* such an event came, and the answer may be older */
	bool is_shared;      /* RAM that others can map is left out of the stream */
	/* Its settings for migrations are changed, and what they are to be again. */
	bool has_settings;
	bool had_return_path;
	uint32_t had_unread; /* a bit for each of the capabilities that are off meanwhile */
	int64_t bandwidth_bytes;
	int64_t downtime_ms;
	uint64_t undo_deadline_ns;   /* 0: nobody sets them back yet */
	struct event *release_timer; /* until it runs, at the begin and at the end */
	struct tandem_error end_error;

	/* What is known of its RAM (guest_memory.c). */
	struct tandem_qemu_memory memory;
	unsigned memory_question;            /* the next one */
	char cpu_path[TANDEM_QEMU_ID_BYTES]; /* of one of its processors, in QEMU's tree */

	/* The stream (guest_stream.c). */
	struct evconnlistener *listener;
	struct event *readable;
	struct event *deadline_timer;
	int fd;
	struct tandem_qemu_stream stream;
	struct tandem_qemu_peer peer;
	struct tandem_qemu_opening opening;
	uint8_t *input; /* not decoded yet */
	size_t input_bytes;
	uint8_t *state; /* device state of the epoch under way */
	size_t state_bytes;
	size_t state_room_bytes;
};

/* guest_control.c */
int tandem_qemu_control_open(struct tandem_qemu_guest *guest, struct tandem_error *reterr_error);
/* Lets the guest go, whatever it does; `end_error` says why. */
void tandem_qemu_control_release(struct tandem_qemu_guest *guest);

/* An order of a protection that begins. */
void tandem_qemu_control_order(struct tandem_qemu_guest *guest, const char *command,
                               struct json_object *arguments, tandem_qmp_answer answer);
/* Whether the protection still begins; an error is its end. */
bool tandem_qemu_control_is_starting(struct tandem_qemu_guest *guest,
                                     const struct tandem_error *error);
/* A text in what QEMU answered; "" where there is none. Borrowed from `value`. */
const char *tandem_qemu_control_text(struct json_object *value, const char *key);
bool tandem_qemu_control_flag(struct json_object *value, const char *key);
/* It cannot be protected. */
void tandem_qemu_control_give_up(struct tandem_qemu_guest *guest, const struct tandem_error *error);
/* An order of a guest that is let go. */
void tandem_qemu_control_release_order(struct tandem_qemu_guest *guest, const char *command,
                                       struct json_object *arguments, tandem_qmp_answer answer);
/* tandem_qemu_settings_undo() is called again soon. */
void tandem_qemu_control_undo_later(struct tandem_qemu_guest *guest);
/* It is let go, or nothing more can be done for that. */
void tandem_qemu_control_finish(struct tandem_qemu_guest *guest, bool is_running);

/* guest_settings.c: QEMU's settings for migrations */
void tandem_qemu_settings_add(struct json_object *list, const char *name, bool is_on);
/* They are changed and QEMU is told to send; when it is known which RAM is left out. */
void tandem_qemu_settings_migrate(struct tandem_qemu_guest *guest);
/* As they were, when QEMU has ended what it sends; then the guest is let go. */
void tandem_qemu_settings_undo(struct tandem_qemu_guest *guest);

/* guest_memory.c: looks whether RAM can be shared, asks the handler and goes on. */
void tandem_qemu_guest_memory_look(struct tandem_qemu_guest *guest);

/* guest_stream.c */
int tandem_qemu_guest_stream_open(struct tandem_qemu_guest *guest,
                                  struct tandem_error *reterr_error);
/* QEMU connects from now on. */
void tandem_qemu_guest_stream_begin(struct tandem_qemu_guest *guest);
void tandem_qemu_guest_stream_tell(struct tandem_qemu_guest *guest,
                                   enum tandem_qemu_event_type type, uint64_t value);
/* Nothing comes from QEMU any more. */
void tandem_qemu_guest_stream_end(struct tandem_qemu_guest *guest);
void tandem_qemu_guest_stream_close(struct tandem_qemu_guest *guest);

#endif
