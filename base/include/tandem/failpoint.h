#ifndef TANDEM_FAILPOINT_H
#define TANDEM_FAILPOINT_H

/* Named places where a test ends or stops this process. The environment variable TANDEM_FAILPOINT
 * says "NAME:ACTION:COUNT": at the COUNT-th passage (1 is the first) of NAME do ACTION: `kill`
 * (SIGKILL to itself), `killgroup` (SIGKILL to its process group), `stop` and `stopgroup`
 * (SIGSTOP). Unset costs one load. Any thread. */
#define TANDEM_FAILPOINT(name)                                                                     \
	do {                                                                                       \
		if (tandem_failpoint_armed)                                                        \
			tandem_failpoint_pass(name);                                               \
	} while (0)

extern int tandem_failpoint_armed;

/* Reads the environment; call once before threads start. An unreadable value ends the program with
 * a message. */
void tandem_failpoint_load(void);
void tandem_failpoint_pass(const char *name);

#endif
