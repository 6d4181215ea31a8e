#ifndef TANDEM_COPY_H
#define TANDEM_COPY_H

#include <stddef.h>

/* Copies `length` bytes, a multiple of 128, between addresses that are multiples of 32, with stores
 * that go around the caches where the processor has them: what is copied is not read again soon,
 * and the program's own lines stay. */
void tandem_copy_around(void *to, const void *from, size_t length);
/* After it what was copied can be seen by every thread and device. */
void tandem_copy_publish(void);

#endif
