#ifndef TANDEM_QEMU_GATE_OUTSIDE_H
#define TANDEM_QEMU_GATE_OUTSIDE_H

#include <stddef.h>
#include <stdint.h>
#include <tandem/error.h>
#include <tandem/unix_socket.h>

/* The network that a gate leads to: a tap interface, or a datagram socket of another program. */
struct tandem_qemu_outside {
	int fd;
	struct sockaddr_un peer; /* empty: it is a tap */
	char path[TANDEM_UNIX_PATH_BYTES];
};

/* See struct tandem_qemu_gate_options for `name` and `path`. What failed can be closed. */
int tandem_qemu_outside_open(struct tandem_qemu_outside *outside, const char *name,
                             const char *path, struct tandem_error *reterr_error);
/* The same from a descriptor that another process had opened for it, which is taken. */
int tandem_qemu_outside_adopt(struct tandem_qemu_outside *outside, const char *name,
                              const char *path, int fd, struct tandem_error *reterr_error);
/* 0, EAGAIN (it has no room now), or another errno: the frame is lost. */
int tandem_qemu_outside_send(struct tandem_qemu_outside *outside, const uint8_t *bytes,
                             size_t length);
/* The length of the frame that came; 0: none. */
size_t tandem_qemu_outside_recv(struct tandem_qemu_outside *outside, uint8_t *ret_bytes,
                                size_t capacity);
void tandem_qemu_outside_close(struct tandem_qemu_outside *outside);

#endif
