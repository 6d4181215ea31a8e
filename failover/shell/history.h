#ifndef TANDEM_FAILOVER_HISTORY_H
#define TANDEM_FAILOVER_HISTORY_H

#include <stddef.h>

#include "core/machine.h"

/* The last decisions with their evidence, for `tandemctl events`. */
#define TANDEM_HISTORY_MAX 512

struct tandem_history_entry {
	char pair[TANDEM_NAME_BYTES];
	char detail[200]; /* a cause from outside, "" when none */
	struct tandem_note note;
};

struct tandem_history {
	size_t total_count; /* ever added; the last TANDEM_HISTORY_MAX are kept */
	struct tandem_history_entry entries[TANDEM_HISTORY_MAX];
};

/* `detail` may be NULL. The entry stays until it is overwritten. */
const struct tandem_history_entry *tandem_history_add(struct tandem_history *history,
                                                      const char *pair,
                                                      const struct tandem_note *note,
                                                      const char *detail);
size_t tandem_history_count(const struct tandem_history *history);
/* 0 is the oldest kept. */
const struct tandem_history_entry *tandem_history_at(const struct tandem_history *history,
                                                     size_t index);
/* One line for a log. */
void tandem_history_spell(const struct tandem_history_entry *entry, char *ret_line, size_t size);

#endif
