#ifndef TANDEM_TEST_FAKE_QEMU_H
#define TANDEM_TEST_FAKE_QEMU_H

#include <event2/event.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define FAKE_ORDERS_BYTES 2048

struct bufferevent;
struct evconnlistener;

/* A QEMU in this process and its loop: it answers at a control socket, one client after the other,
 * and sends `stream` when it is told to migrate. */
struct fake_qemu {
	struct event_base *base;
	char folder[64];
	char qmp_path[96];
	char stream_path[96];
	const char *status;      /* of the guest: "running", "inmigrate", "paused" */
	const char *refused;     /* a command that gets an error; NULL: none */
	bool has_guests;         /* its processors can run guests of their own */
	bool puts_away;          /* it has a migration that it has not put away yet */
	const char *on;          /* a capability that is set; NULL: none */
	char capabilities[1024]; /* the last order that set some */
	const void *stream;
	size_t stream_bytes;            /* 0: it never connects */
	char orders[FAKE_ORDERS_BYTES]; /* that came, blanks between; those of a conversation's
	                                   begin are left out */
	struct evconnlistener *listener;
	struct bufferevent *client;
	int fd; /* of the stream */
};

/* A QEMU 7.2 with KVM, whose guest runs, with all of its RAM in one shared file. */
void fake_qemu_open(struct fake_qemu *qemu, struct event_base *base);
/* An event without data. */
void fake_qemu_tell(struct fake_qemu *qemu, const char *event);
/* How often a command came. */
unsigned fake_qemu_count(const struct fake_qemu *qemu, const char *order);
void fake_qemu_close(struct fake_qemu *qemu);

#endif
