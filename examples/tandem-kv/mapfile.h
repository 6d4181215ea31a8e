#ifndef TANDEM_KV_MAPFILE_H
#define TANDEM_KV_MAPFILE_H

#include <stdbool.h>
#include <stddef.h>

#include <tandem/error.h>

#include "options.h"

/* The file that holds the map. Nobody else may write to it: a fresh one is unlinked once it is
 * mapped, a named one and a promoted image stay and are locked with flock(2). */
struct tandem_kv_mapfile {
	char path[4096];
	size_t bytes; /* of the map; the file's size once it is mapped */
	int file;     /* -1 when there is none */
	bool is_fresh;
	bool is_unlinked;
};

#define TANDEM_KV_MAPFILE_NONE ((struct tandem_kv_mapfile){.file = -1})

/* Opens or makes the file that the options ask for, and locks it. Errors: TANDEM_E_SYSTEM,
 * TANDEM_E_CONFIG (in use, or of a size that is none for a map). */
TANDEM_MUST_CHECK int tandem_kv_mapfile_open(const struct tandem_kv_options *options,
                                             struct tandem_kv_mapfile *ret_file,
                                             struct tandem_error *reterr_error);

/* To be called once the file is mapped: reserves its memory, so that a full /dev/shm is an error
 * now and no SIGBUS later, and unlinks it if it is fresh. */
TANDEM_MUST_CHECK int tandem_kv_mapfile_settle(struct tandem_kv_mapfile *file,
                                               struct tandem_error *reterr_error);

/* A fresh file that was not unlinked yet is removed. */
void tandem_kv_mapfile_close(struct tandem_kv_mapfile *file);

#endif
