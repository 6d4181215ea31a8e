#ifndef TEST_FAILOVER_BED_PAIR_H
#define TEST_FAILOVER_BED_PAIR_H

#include "bed.h"

/* A program on node a and a standby on node b that become a pair. */
#define BED_PROGRAM 0x1111
#define BED_STANDBY 0x2222

extern struct bed_plane *bed_program, *bed_standby;

/* Both are attached, the register says PAIR in generation 2. */
void bed_make_pair(void);
void bed_say_session(bool is_up);

#endif
