#ifndef YARDSTICK_MEASURE_H
#define YARDSTICK_MEASURE_H

#include <stdint.h>

/* What both yardsticks measure with. */
uint64_t yardstick_now_ns(void);    /* monotonic */
double yardstick_cpu_seconds(void); /* of this process, user and system */

#endif
