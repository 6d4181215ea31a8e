#include "talk.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "machine.h"

bool talk_open_serial(struct talk *talk, const char *path)
{
	struct termios settings;
	const int file = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (file < 0 || tcgetattr(file, &settings) != 0)
		return false;
	cfmakeraw(&settings);
	cfsetspeed(&settings, B115200);
	talk->serial.file = file;
	return tcsetattr(file, TCSANOW, &settings) == 0;
}

static int open_socket(int type, uint16_t port)
{
	const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	const int file = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int yes = 1;

	if (file < 0)
		return -1;
	if (setsockopt(file, SOL_SOCKET, type == SOCK_DGRAM ? SO_BROADCAST : SO_REUSEADDR, &yes,
	               sizeof(yes)) != 0 ||
	    bind(file, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		close(file);
		return -1;
	}
	return file;
}

bool talk_open_network(struct talk *talk)
{
	talk->datagrams.file = open_socket(SOCK_DGRAM, TALK_PORT);
	talk->broadcasts.file = open_socket(SOCK_DGRAM, 0);
	talk->listener = open_socket(SOCK_STREAM, TALK_PORT);
	/* Without its card there would be no way to everybody. */
	return talk->datagrams.file >= 0 && talk->broadcasts.file >= 0 && talk->listener >= 0 &&
	       setsockopt(talk->broadcasts.file, SOL_SOCKET, SO_BINDTODEVICE, MACHINE_CARD,
	                  sizeof(MACHINE_CARD)) == 0 &&
	       listen(talk->listener, TALK_CONNECTIONS) == 0;
}

void talk_poll(const struct talk *talk, struct pollfd polls[TALK_POLLS])
{
	polls[0] = (struct pollfd){.fd = talk->serial.file, .events = POLLIN};
	polls[1] = (struct pollfd){.fd = talk->datagrams.file, .events = POLLIN};
	polls[2] = (struct pollfd){.fd = talk->listener, .events = POLLIN};
	for (unsigned i = 0; i < TALK_CONNECTIONS; i++)
		polls[3 + i] = (struct pollfd){.fd = talk->connections[i].file, .events = POLLIN};
}

static void accept_connection(struct talk *talk)
{
	const int file = accept4(talk->listener, NULL, NULL, SOCK_CLOEXEC);

	for (unsigned i = 0; file >= 0 && i < TALK_CONNECTIONS; i++) {
		if (talk->connections[i].file >= 0)
			continue;
		talk->connections[i] = (struct talk_peer){.file = file};
		return;
	}
	if (file >= 0)
		close(file);
}

/* Hands over each line that is whole. One that does not fit is dropped. */
static void cut_lines(struct talk *talk, struct talk_peer *peer)
{
	char *end;

	while ((end = memchr(peer->line, '\n', peer->length))) {
		const size_t used = (size_t)(end - peer->line) + 1;
		char line[TALK_LINE_BYTES];

		memcpy(line, peer->line, used - 1);
		line[used - 1] = '\0';
		line[strcspn(line, "\r")] = '\0';
		peer->length -= used;
		memmove(peer->line, peer->line + used, peer->length);
		talk->on_line(talk->argument, peer, line);
	}
	if (peer->length == sizeof(peer->line))
		peer->length = 0;
}

static void read_stream(struct talk *talk, struct talk_peer *peer)
{
	const ssize_t count =
	        read(peer->file, peer->line + peer->length, sizeof(peer->line) - peer->length);

	if (count > 0) {
		peer->length += (size_t)count;
		cut_lines(talk, peer);
	} else if (peer != &talk->serial) {
		close(peer->file);
		peer->file = -1;
	}
}

static void read_datagram(struct talk *talk)
{
	struct talk_peer *peer = &talk->datagrams;
	socklen_t length = sizeof(peer->from);
	const ssize_t count = recvfrom(peer->file, peer->line, sizeof(peer->line) - 1, 0,
	                               (struct sockaddr *)&peer->from, &length);

	if (count <= 0)
		return;
	peer->length = (size_t)count;
	if (peer->line[count - 1] != '\n')
		peer->line[peer->length++] = '\n';
	cut_lines(talk, peer);
	peer->length = 0;
}

void talk_take(struct talk *talk, const struct pollfd polls[TALK_POLLS])
{
	if (polls[0].revents)
		read_stream(talk, &talk->serial);
	if (polls[1].revents)
		read_datagram(talk);
	if (polls[2].revents)
		accept_connection(talk);
	for (unsigned i = 0; i < TALK_CONNECTIONS; i++) {
		if (polls[3 + i].revents)
			read_stream(talk, &talk->connections[i]);
	}
}

void talk_answer(struct talk_peer *peer, const char *text)
{
	char line[TALK_LINE_BYTES];
	const size_t length = (size_t)snprintf(line, sizeof(line), "%s\n", text);

	if (peer->from.sin_family == AF_INET)
		sendto(peer->file, line, length, 0, (const struct sockaddr *)&peer->from,
		       sizeof(peer->from));
	else if (write(peer->file, line, length) != (ssize_t)length && errno == EPIPE)
		shutdown(peer->file, SHUT_RDWR);
}

void talk_tell(struct talk *talk, const char *text)
{
	talk->broadcasts.from = (struct sockaddr_in){.sin_family = AF_INET,
	                                             .sin_port = htons(TALK_PORT),
	                                             .sin_addr.s_addr = htonl(INADDR_BROADCAST)};
	talk_answer(&talk->serial, text);
	if (talk->broadcasts.file >= 0)
		talk_answer(&talk->broadcasts, text);
}
