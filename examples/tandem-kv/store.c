#include "store.h"

#include <errno.h>
#include <string.h>

#include <lmdb.h>

#include <tandem/memory.h>

#include "resp.h"

/* WRITEMAP: stores go straight to the mapping; commit makes no system call with NOSYNC and
 * NOMETASYNC. NOLOCK: no lock file; the map file itself is unlinked or locked (mapfile.h) and one
 * thread uses one transaction at a time, which is what NOLOCK asks of us. NORDAHEAD: the map is
 * memory already. NOMEMINIT would change nothing: it is about pages that WRITEMAP never allocates.
 */
#define STORE_FLAGS                                                                                \
	(MDB_WRITEMAP | MDB_NOSYNC | MDB_NOMETASYNC | MDB_NOSUBDIR | MDB_NOLOCK | MDB_NORDAHEAD)

struct tandem_kv_store {
	MDB_env *env;
	MDB_dbi records;
	MDB_txn *read; /* made once, reset and renewed after */
	MDB_txn *txn;  /* the open one: `read` or a write transaction */
	uint8_t *copy; /* room for the longest value */
	size_t page_bytes;
	int last_error;
};

/* A key that stands for a position: its length is none a record's key has. */
#define STORE_PROBE_BYTES (TANDEM_KV_KEY_MAX + 1)

struct store_probe {
	uint64_t position;
	uint8_t padding[STORE_PROBE_BYTES - sizeof(uint64_t)];
};

static uint64_t store_position(const MDB_val *key)
{
	uint64_t position;

	if (key->mv_size != STORE_PROBE_BYTES)
		return tandem_kv_record_position(key->mv_data, key->mv_size);
	memcpy(&position, key->mv_data, sizeof(position));
	return position;
}

static int store_compare(const MDB_val *left, const MDB_val *right)
{
	uint64_t left_position = store_position(left);
	uint64_t right_position = store_position(right);

	if (left_position != right_position)
		return left_position < right_position ? -1 : 1;
	/* A probe stands before every record of its position. */
	if (left->mv_size == STORE_PROBE_BYTES || right->mv_size == STORE_PROBE_BYTES)
		return (left->mv_size != STORE_PROBE_BYTES) - (right->mv_size != STORE_PROBE_BYTES);
	size_t common = left->mv_size < right->mv_size ? left->mv_size : right->mv_size;
	int order = memcmp(left->mv_data, right->mv_data, common);
	if (order != 0)
		return order;
	return (left->mv_size > right->mv_size) - (left->mv_size < right->mv_size);
}

static int store_result(struct tandem_kv_store *store, int error)
{
	if (error == 0)
		return 0;
	if (error == MDB_MAP_FULL || error == MDB_TXN_FULL)
		return TANDEM_E_MEMORY;
	store->last_error = error;
	return TANDEM_E_SYSTEM;
}

static int store_open_records(struct tandem_kv_store *store)
{
	MDB_txn *txn;
	int error = mdb_txn_begin(store->env, NULL, 0, &txn);

	if (error == 0) {
		error = mdb_dbi_open(txn, NULL, 0, &store->records);
		if (error == 0)
			error = mdb_set_compare(txn, store->records, store_compare);
		if (error == 0)
			error = mdb_txn_commit(txn);
		else
			mdb_txn_abort(txn);
	}
	if (error == 0)
		error = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &store->read);
	if (error == 0)
		mdb_txn_reset(store->read);
	return error;
}

static int store_check(struct tandem_kv_store *store, size_t map_bytes,
                       struct tandem_error *reterr_error)
{
	MDB_envinfo info;
	MDB_stat stat;
	unsigned flags = 0;

	mdb_env_get_flags(store->env, &flags);
	mdb_env_stat(store->env, &stat);
	store->page_bytes = stat.ms_psize;
	mdb_env_info(store->env, &info);
	if ((flags & STORE_FLAGS) != STORE_FLAGS || info.me_mapsize != map_bytes)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "lmdb",
		                        "the map is not in writemap mode at %zu bytes (flags %#x, "
		                        "%zu bytes)",
		                        map_bytes, flags, info.me_mapsize);
	if (mdb_env_get_maxkeysize(store->env) != TANDEM_KV_KEY_MAX)
		return tandem_error_set(reterr_error, TANDEM_E_UNSUPPORTED, "lmdb",
		                        "this LMDB has keys of %d bytes, needed are %d",
		                        mdb_env_get_maxkeysize(store->env), TANDEM_KV_KEY_MAX);
	return 0;
}

int tandem_kv_store_open(const char *path, size_t map_bytes, struct tandem_kv_store **ret_store,
                         struct tandem_error *reterr_error)
{
	struct tandem_kv_store *store = tandem_memory_alloc(sizeof(*store));

	if (store)
		store->copy = tandem_memory_alloc(TANDEM_KV_BULK_MAX);
	if (!store || !store->copy) {
		tandem_kv_store_close(store);
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "lmdb", "no memory");
	}
	int error = mdb_env_create(&store->env);
	if (error == 0)
		error = mdb_env_set_mapsize(store->env, map_bytes);
	if (error == 0)
		error = mdb_env_open(store->env, path, STORE_FLAGS, 0600);
	if (error == 0)
		error = store_open_records(store);
	if (error != 0) {
		tandem_kv_store_close(store);
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "lmdb", "%s: %s", path,
		                        mdb_strerror(error));
	}
	int result = store_check(store, map_bytes, reterr_error);
	if (result != 0) {
		tandem_kv_store_close(store);
		return result;
	}
	*ret_store = store;
	return 0;
}

struct tandem_kv_store *tandem_kv_store_close(struct tandem_kv_store *store)
{
	if (!store)
		return NULL;
	tandem_kv_store_end(store);
	if (store->read)
		mdb_txn_abort(store->read);
	if (store->env)
		mdb_env_close(store->env);
	tandem_memory_free(store->copy);
	tandem_memory_free(store);
	return NULL;
}

int tandem_kv_store_begin_read(struct tandem_kv_store *store)
{
	int error = mdb_txn_renew(store->read);

	if (error == 0)
		store->txn = store->read;
	return store_result(store, error);
}

int tandem_kv_store_begin_write(struct tandem_kv_store *store)
{
	return store_result(store, mdb_txn_begin(store->env, NULL, 0, &store->txn));
}

int tandem_kv_store_commit(struct tandem_kv_store *store)
{
	MDB_txn *txn = store->txn;

	store->txn = NULL;
	return store_result(store, mdb_txn_commit(txn));
}

void tandem_kv_store_end(struct tandem_kv_store *store)
{
	if (store->txn && store->txn == store->read)
		mdb_txn_reset(store->read);
	else if (store->txn)
		mdb_txn_abort(store->txn);
	store->txn = NULL;
}

const char *tandem_kv_store_error(const struct tandem_kv_store *store)
{
	return mdb_strerror(store->last_error);
}

size_t tandem_kv_store_used_bytes(const struct tandem_kv_store *store)
{
	MDB_envinfo info;

	mdb_env_info(store->env, &info);
	return (info.me_last_pgno + 1) * store->page_bytes;
}

static MDB_val store_val(const void *bytes, size_t length)
{
	return (MDB_val){.mv_size = length, .mv_data = (void *)(uintptr_t)bytes};
}

int tandem_kv_store_get(struct tandem_kv_store *store, const void *key, size_t key_length,
                        bool *ret_is_found, struct tandem_kv_record *ret_record)
{
	MDB_val name = store_val(key, key_length);
	MDB_val found;
	int error = mdb_get(store->txn, store->records, &name, &found);

	if (error != 0 && error != MDB_NOTFOUND)
		return store_result(store, error);
	if (error == 0 && !tandem_kv_record_read(found.mv_data, found.mv_size, ret_record))
		return store_result(store, MDB_CORRUPTED);
	*ret_is_found = error == 0;
	return 0;
}

int tandem_kv_store_put(struct tandem_kv_store *store, const void *key, size_t key_length,
                        const void *value, size_t value_length, uint64_t expiry_ms)
{
	MDB_val name = store_val(key, key_length);
	MDB_val room = {.mv_size = TANDEM_KV_RECORD_HEADER_BYTES + value_length};
	int error = mdb_put(store->txn, store->records, &name, &room, MDB_RESERVE);

	if (error != 0)
		return store_result(store, error);
	tandem_kv_record_write_expiry(room.mv_data, expiry_ms);
	if (value_length > 0)
		memcpy((uint8_t *)room.mv_data + TANDEM_KV_RECORD_HEADER_BYTES, value,
		       value_length);
	return 0;
}

int tandem_kv_store_set_expiry(struct tandem_kv_store *store, const void *key, size_t key_length,
                               uint64_t expiry_ms)
{
	struct tandem_kv_record record;
	bool is_found;
	int result = tandem_kv_store_get(store, key, key_length, &is_found, &record);

	if (result != 0 || !is_found)
		return result;
	if (record.value_length > TANDEM_KV_BULK_MAX)
		return store_result(store, MDB_CORRUPTED);
	/* The put may move the page that the value lies in. */
	memcpy(store->copy, record.value, record.value_length);
	return tandem_kv_store_put(store, key, key_length, store->copy, record.value_length,
	                           expiry_ms);
}

int tandem_kv_store_delete(struct tandem_kv_store *store, const void *key, size_t key_length)
{
	MDB_val name = store_val(key, key_length);
	int error = mdb_del(store->txn, store->records, &name, NULL);

	return error == MDB_NOTFOUND ? 0 : store_result(store, error);
}

int tandem_kv_store_count(struct tandem_kv_store *store, uint64_t *ret_count)
{
	MDB_stat stat;
	int error = mdb_stat(store->txn, store->records, &stat);

	if (error == 0)
		*ret_count = stat.ms_entries;
	return store_result(store, error);
}

int tandem_kv_store_clear(struct tandem_kv_store *store)
{
	return store_result(store, mdb_drop(store->txn, store->records, 0));
}

static int store_walk(MDB_cursor *cursor, uint64_t position, size_t count,
                      tandem_kv_store_visit visit, void *context, uint64_t *ret_position)
{
	struct store_probe probe = {.position = position};
	struct tandem_kv_record record;
	MDB_val key = store_val(&probe, sizeof(probe));
	MDB_val value;
	uint64_t last = 0;
	size_t visited = 0;
	int error = mdb_cursor_get(cursor, &key, &value, position ? MDB_SET_RANGE : MDB_FIRST);

	while (error == 0) {
		uint64_t here = store_position(&key);

		if (visited >= count && here != last) {
			*ret_position = here;
			return 0;
		}
		if (!tandem_kv_record_read(value.mv_data, value.mv_size, &record))
			return MDB_CORRUPTED;
		visit(context, key.mv_data, key.mv_size, &record);
		visited++;
		last = here;
		error = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	if (error == MDB_NOTFOUND)
		*ret_position = 0;
	return error == MDB_NOTFOUND ? 0 : error;
}

int tandem_kv_store_scan(struct tandem_kv_store *store, uint64_t position, size_t count,
                         tandem_kv_store_visit visit, void *context, uint64_t *ret_position)
{
	MDB_cursor *cursor;
	int error = mdb_cursor_open(store->txn, store->records, &cursor);

	if (error != 0)
		return store_result(store, error);
	error = store_walk(cursor, position, count, visit, context, ret_position);
	mdb_cursor_close(cursor);
	return store_result(store, error);
}

/* Pages in LMDB's list of freed pages (database 0: transaction → count and numbers). Those that the
 * next write transaction may use again are the ones freed before the last committed one. */
static int store_freed(MDB_txn *txn, size_t *ret_usable, size_t *ret_all)
{
	MDB_cursor *cursor;
	MDB_val key;
	MDB_val value;
	size_t last_id = mdb_txn_id(txn);
	int error = mdb_cursor_open(txn, 0, &cursor);

	if (error != 0)
		return error;
	while ((error = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		size_t id;
		size_t count;

		memcpy(&id, key.mv_data, sizeof(id));
		memcpy(&count, value.mv_data, sizeof(count));
		*ret_all += count;
		if (id < last_id)
			*ret_usable += count;
	}
	mdb_cursor_close(cursor);
	return error == MDB_NOTFOUND ? 0 : error;
}

#define STORE_RESERVE_PAGES_MIN 128
#define STORE_RESERVE_FRACTION  64

int tandem_kv_store_room(struct tandem_kv_store *store, struct tandem_kv_room *ret_room)
{
	struct tandem_kv_room room = {0};
	MDB_envinfo info;
	MDB_stat stat;
	size_t usable = 0;
	int result = tandem_kv_store_begin_read(store);

	if (result != 0)
		return result;
	int error = mdb_stat(store->txn, store->records, &stat);
	if (error == 0)
		error = mdb_env_info(store->env, &info);
	if (error == 0)
		error = store_freed(store->txn, &usable, &room.freed_pages);
	tandem_kv_store_end(store);
	if (error != 0)
		return store_result(store, error);
	size_t map_pages = info.me_mapsize / stat.ms_psize;
	size_t used_pages = info.me_last_pgno + 1;
	room.page_bytes = stat.ms_psize;
	room.recent_pages = room.freed_pages - usable;
	room.pages = usable + (map_pages > used_pages ? map_pages - used_pages : 0);
	room.reserve = map_pages / STORE_RESERVE_FRACTION;
	if (room.reserve < STORE_RESERVE_PAGES_MIN)
		room.reserve = STORE_RESERVE_PAGES_MIN;
	room.tree_pages = stat.ms_branch_pages + stat.ms_leaf_pages;
	room.value_pages = stat.ms_overflow_pages;
	room.depth = stat.ms_depth;
	*ret_room = room;
	return 0;
}

/* A key that no record has. */
static int store_find_unused(struct tandem_kv_store *store, uint64_t *ret_key)
{
	struct tandem_kv_record record;
	bool is_found = true;
	int result = 0;

	for (*ret_key = 0; is_found && result == 0; ++*ret_key)
		result = tandem_kv_store_get(store, ret_key, sizeof(*ret_key), &is_found, &record);
	--*ret_key;
	return result;
}

int tandem_kv_store_age(struct tandem_kv_store *store)
{
	uint64_t key;
	int result = tandem_kv_store_begin_write(store);

	/* LMDB counts only transactions that wrote something. */
	if (result == 0)
		result = store_find_unused(store, &key);
	if (result == 0)
		result = tandem_kv_store_put(store, &key, sizeof(key), NULL, 0,
		                             TANDEM_KV_EXPIRY_NEVER);
	if (result == 0)
		result = tandem_kv_store_delete(store, &key, sizeof(key));
	if (result == 0)
		return tandem_kv_store_commit(store);
	tandem_kv_store_end(store);
	return result;
}
