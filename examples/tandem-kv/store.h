#ifndef TANDEM_KV_STORE_H
#define TANDEM_KV_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>

#include "record.h"

/* Records in an LMDB map that is written in place (MDB_WRITEMAP): no write transaction makes a
 * write call on the file, so the pages of the mapping are all there is to protect. One thread, one
 * transaction at a time.
 *
 * Errors of everything inside a transaction: TANDEM_E_MEMORY when the map is full (the transaction
 * can then only be aborted, which takes back all of it and nothing else), TANDEM_E_SYSTEM when LMDB
 * failed otherwise, which nobody should go on from. */
struct tandem_kv_store;

#define TANDEM_KV_KEY_MAX 511 /* what Debian's LMDB was built for */

/* Opens the map at `path`, which is empty or holds a map, at exactly `map_bytes`. Errors:
 * TANDEM_E_SYSTEM, TANDEM_E_CONFIG (not a map), TANDEM_E_MEMORY. */
TANDEM_MUST_CHECK int tandem_kv_store_open(const char *path, size_t map_bytes,
                                           struct tandem_kv_store **ret_store,
                                           struct tandem_error *reterr_error);
/* NULL is allowed; aborts what is open. */
struct tandem_kv_store *tandem_kv_store_close(struct tandem_kv_store *store);

TANDEM_MUST_CHECK int tandem_kv_store_begin_read(struct tandem_kv_store *store);
TANDEM_MUST_CHECK int tandem_kv_store_begin_write(struct tandem_kv_store *store);
/* Ends the write transaction either way. */
TANDEM_MUST_CHECK int tandem_kv_store_commit(struct tandem_kv_store *store);
/* Ends any transaction; none is allowed. */
void tandem_kv_store_end(struct tandem_kv_store *store);
/* The LMDB error behind the last TANDEM_E_SYSTEM, for the log. */
const char *tandem_kv_store_error(const struct tandem_kv_store *store);

/* How much of the map, from its start, holds anything: what is behind it was not used by any
 * committed transaction yet. */
size_t tandem_kv_store_used_bytes(const struct tandem_kv_store *store);

/* Keys have 1 to TANDEM_KV_KEY_MAX bytes. */
TANDEM_MUST_CHECK int tandem_kv_store_get(struct tandem_kv_store *store, const void *key,
                                          size_t key_length, bool *ret_is_found,
                                          struct tandem_kv_record *ret_record);
/* `value` must not lie in the map. */
TANDEM_MUST_CHECK int tandem_kv_store_put(struct tandem_kv_store *store, const void *key,
                                          size_t key_length, const void *value, size_t value_length,
                                          uint64_t expiry_ms);
TANDEM_MUST_CHECK int tandem_kv_store_set_expiry(struct tandem_kv_store *store, const void *key,
                                                 size_t key_length, uint64_t expiry_ms);
/* A key that is not there is no error. */
TANDEM_MUST_CHECK int tandem_kv_store_delete(struct tandem_kv_store *store, const void *key,
                                             size_t key_length);
TANDEM_MUST_CHECK int tandem_kv_store_count(struct tandem_kv_store *store, uint64_t *ret_count);
TANDEM_MUST_CHECK int tandem_kv_store_clear(struct tandem_kv_store *store);

/* Calls `visit` for at least `count` records from `position` on (0: the first), all that share the
 * last one's position included, and stores where to go on, 0 at the end. `visit` must not write. */
typedef void (*tandem_kv_store_visit)(void *context, const void *key, size_t key_length,
                                      const struct tandem_kv_record *record);
TANDEM_MUST_CHECK int tandem_kv_store_scan(struct tandem_kv_store *store, uint64_t position,
                                           size_t count, tandem_kv_store_visit visit, void *context,
                                           uint64_t *ret_position);

/* What the next write transaction can take, in pages. */
struct tandem_kv_room {
	size_t page_bytes;
	size_t pages;        /* free for the next transaction: never used, or freed long enough */
	size_t reserve;      /* of those, kept for commands that make room */
	size_t tree_pages;   /* in the tree of keys, without long values */
	size_t value_pages;  /* in long values */
	size_t freed_pages;  /* in the list of freed pages, usable or not */
	size_t recent_pages; /* of those, freed by the last transaction: usable after one more */
	size_t depth;        /* of the tree of keys */
};
/* Both outside a transaction. */
TANDEM_MUST_CHECK int tandem_kv_store_room(struct tandem_kv_store *store,
                                           struct tandem_kv_room *ret_room);
/* Makes a transaction that changes no record, so that recent pages become usable. */
TANDEM_MUST_CHECK int tandem_kv_store_age(struct tandem_kv_store *store);

#endif
