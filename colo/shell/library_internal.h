#ifndef TANDEM_LIBRARY_INTERNAL_H
#define TANDEM_LIBRARY_INTERNAL_H

#include <sys/types.h>
#include <time.h>

#include <tandem/error.h>
#include <tandem/tandem.h>

#include "engine.h"

/* The public face in four files: library.c (open, regions, start, close), library_checkpoint.c
 * (epochs and the gate), library_recovery.c (started to take over) and library_statistics.c.
 * Arguments are checked here, the rest is the engine's. */
struct tandem {
	struct tandem_engine engine;
	struct tandem_region_table regions;
	pid_t process; /* a forked child is refused */
	/* 1 where the kernel makes it 0 in a forked child, which is cheaper to ask than it is;
	 * NULL: this kernel cannot. */
	volatile uint8_t *unforked;
	bool is_started;
	uint64_t incarnation;
	uint64_t first_epoch;
	uint64_t start_timeout_ns;
	char pair[TANDEM_NAME_BYTES];
	char run_directory[96];
	char needs[TANDEM_NEEDS_BYTES];
	enum tandem_tracker tracker;
	_Atomic bool is_leading;
	_Atomic enum tandem_leaving leaving;
	char halt_reason[256]; /* under engine.lock */
};

/* Refuses a forked child. */
int tandem_library_check(const struct tandem *tandem, struct tandem_error *reterr_error);
/* What the controller has said to a program that has not started: nobody else reads it. */
void tandem_library_look(struct tandem *tandem);
/* Of a region that was added; regions.count when there is none. */
unsigned tandem_library_region(const struct tandem *tandem, const char *name);
uint64_t tandem_library_environment_number(const char *name);
/* Of a wait that begins now, on the monotonic clock; a wait that is too long to tell never ends. */
struct timespec tandem_library_deadline(uint64_t timeout_ns);

#endif
