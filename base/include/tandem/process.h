#ifndef TANDEM_PROCESS_H
#define TANDEM_PROCESS_H

#include <sys/types.h>

/* Other processes of this host, proc(5). Any thread. */
#define TANDEM_PROCESS_NAME_BYTES 16u

/* The process that has the network of a virtual machine that was let go. */
#define TANDEM_PROCESS_FORWARDER "tandem-gate"

/* Its name, comm; "" where there is none, or no such process. */
void tandem_process_name(pid_t process, char ret_name[TANDEM_PROCESS_NAME_BYTES]);

#endif
