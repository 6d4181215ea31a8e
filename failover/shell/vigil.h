#ifndef TANDEM_FAILOVER_VIGIL_H
#define TANDEM_FAILOVER_VIGIL_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>

struct event_base;

/* Learns of the end of protected programs by the word of life in their stats pages
 * (tandem/life.h), on a thread of its own, because no descriptor tells it. Each place holds one
 * program. Where kernel or program does not have it, nothing is told. */
struct tandem_vigil;

/* On the loop's thread. */
typedef void (*tandem_vigil_fn)(void *context, size_t place, uint64_t incarnation);

TANDEM_MUST_CHECK int tandem_vigil_new(struct event_base *base, size_t place_count,
                                       tandem_vigil_fn on_end, void *context,
                                       struct tandem_vigil **ret_vigil,
                                       struct tandem_error *reterr_error);
/* NULL is allowed. */
void tandem_vigil_free(struct tandem_vigil *vigil);

/* The program that has made its page RUN_DIRECTORY/PAIR.stats; it replaces the place's last one. */
void tandem_vigil_watch(struct tandem_vigil *vigil, size_t place, const char *run_directory,
                        const char *pair, uint64_t incarnation);

#endif
