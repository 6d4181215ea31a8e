#ifndef TALK_H
#define TALK_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>

/* Lines in and out: the serial port, and with a card UDP and TCP port 7777. */

#define TALK_PORT        7777
#define TALK_CONNECTIONS 4u
#define TALK_LINE_BYTES  512u
#define TALK_POLLS       (3u + TALK_CONNECTIONS)

/* One that sends lines. */
struct talk_peer {
	int file;
	struct sockaddr_in from; /* of datagrams: where answers go; else all zeros */
	size_t length;
	char line[TALK_LINE_BYTES];
};

struct talk {
	struct talk_peer serial;
	struct talk_peer datagrams;
	struct talk_peer broadcasts; /* from a port of their own: NAT takes them for a flow */
	int listener;
	struct talk_peer connections[TALK_CONNECTIONS];
	void (*on_line)(void *argument, struct talk_peer *from, const char *line);
	void *argument;
};

bool talk_open_serial(struct talk *talk, const char *path);
bool talk_open_network(struct talk *talk);

/* Fills `polls`, in which files that are not open stand as -1. */
void talk_poll(const struct talk *talk, struct pollfd polls[TALK_POLLS]);
void talk_take(struct talk *talk, const struct pollfd polls[TALK_POLLS]);

/* To one peer, a newline after it. */
void talk_answer(struct talk_peer *peer, const char *text);

/* To the serial port and, as a datagram to everybody, the network. */
void talk_tell(struct talk *talk, const char *text);

#endif
