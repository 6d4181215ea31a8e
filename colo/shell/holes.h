#ifndef TANDEM_HOLES_H
#define TANDEM_HOLES_H

#include <stdbool.h>
#include <stdint.h>

#include "backing.h"

/* Where the file of a shared mapping has no memory: holes read as zeros, and no page table tells
 * that one was punched. Looked for with SEEK_DATA and SEEK_HOLE (lseek(2)), on tmpfs and memfd
 * only. */
struct tandem_holes {
	int fd;       /* the file; -1: its holes are not seen */
	int watch_fd; /* inotify(7): tells each hole that is punched; -1: it cannot here */
	uint64_t offset;
	uint64_t page_count;
	bool has_looked;
	/* of the file when it was last looked at */
	bool is_clock_past; /* a change after that look has a later time */
	int64_t changed_s;
	int64_t changed_ns;
	int64_t blocks;
};

#define TANDEM_HOLES_NONE ((struct tandem_holes){.fd = -1, .watch_fd = -1})

/* Never fails: where the file cannot be opened, or is of another file system, there is no map. */
void tandem_holes_open(struct tandem_holes *holes, const struct tandem_backing *backing,
                       uint64_t page_count);
void tandem_holes_close(struct tandem_holes *holes);

/* False when it is certain that no hole was made since the last look; holes may have been filled,
 * which needs a store. `is_told`: the program itself tells what it writes and frees. Call it before
 * the walk. */
bool tandem_holes_may_be_new(struct tandem_holes *holes, bool is_told);
/* Sets the bits of those of these pages that are holes. */
void tandem_holes_walk(struct tandem_holes *holes, uint64_t first, uint64_t count, uint64_t *map);

#endif
