#ifndef TANDEM_UNIX_SOCKET_H
#define TANDEM_UNIX_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include <tandem/error.h>

/* Local sockets by path, unix(7). Any thread. */
#define TANDEM_UNIX_PATH_BYTES 108u /* of the longest path, its zero included */

/* The address of the socket at `path`. Error: TANDEM_E_CONFIG (the path is too long). */
int tandem_unix_address(const char *path, struct sockaddr_un *ret_address,
                        struct tandem_error *reterr_error);

/* Makes a socket at `path` to which only this user can connect: `type` is that of socket(2), flags
 * included, close-on-exec is added. A type with connections listens, and `backlog` may wait. The
 * caller knows that no living process has the path: a socket that is there is removed, anything
 * else is an error. The caller closes the descriptor and unlinks the path. Errors: TANDEM_E_CONFIG
 * (the path is too long), TANDEM_E_SYSTEM. */
int tandem_unix_listen(const char *path, int type, int backlog, int *ret_fd,
                       struct tandem_error *reterr_error);

/* The process at the other end of a connected socket: who connected, or who listens; 0: not known.
 */
pid_t tandem_unix_peer(int fd);

/* Whether some process listens at the stream socket of that path, and which; 0: not known. */
bool tandem_unix_is_listened_at(const char *path, pid_t *ret_process);

#endif
