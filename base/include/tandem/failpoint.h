#ifndef TANDEM_FAILPOINT_H
#define TANDEM_FAILPOINT_H

#include <stdbool.h>

/* Named places where a test ends, stops, delays or deceives this process: failpoint_table.h has the
 * names. The environment variable TANDEM_FAILPOINT says "NAME:ACTION[:COUNT[+]]": at the COUNT-th
 * passage (1, the default, is the first), with a + at each later one, too, of NAME do ACTION:
 *
 *   kill, killgroup  SIGKILL to itself, to its process group
 *   stop, stopgroup  SIGSTOP
 *   delay=MS         nothing for MS milliseconds (at most 60,000)
 *   error            what is done there fails
 *   skip             what is done there is left out, which breaks the protocol: for proving that a
 *                    judge sees it, and only in builds with TANDEM_SEEDED_FAULTS
 *
 * Only programs that call tandem_failpoint_load() obey it, libtandem by itself does not; a program
 * with more rights than its caller never does, and none hands it on to what it starts. Unset costs
 * one load. Any thread. */
#define TANDEM_FAILPOINT(name)                                                                     \
	do {                                                                                       \
		if (tandem_failpoint_armed)                                                        \
			(void)tandem_failpoint_pass(name);                                         \
	} while (0)

/* True when the action is `error` or `skip`: the caller obeys. */
#define TANDEM_FAILPOINT_FIRES(name) (tandem_failpoint_armed && tandem_failpoint_pass(name))

extern int tandem_failpoint_armed;

/* Takes the variable out of the environment; call once before threads start. A value that cannot be
 * read, or a name that no place has, ends the program with a message and status 2; one that is
 * armed is told on standard error. */
void tandem_failpoint_load(void);
bool tandem_failpoint_pass(const char *name);

#endif
