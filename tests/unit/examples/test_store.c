#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <string.h>
#include <unistd.h>

#include "kv_world.h"

static struct kv_world world;

static void setup(void)
{
	kv_world_open(&world, (size_t)4 << 20);
}

static void teardown(void)
{
	kv_world_close(&world);
}

TestSuite(kv_store, .init = setup, .fini = teardown);

static bool is_there(const char *key)
{
	struct tandem_kv_record record;
	bool is_found;

	cr_assert_eq(tandem_kv_store_begin_read(world.store), 0);
	cr_assert_eq(tandem_kv_store_get(world.store, key, strlen(key), &is_found, &record), 0);
	tandem_kv_store_end(world.store);
	return is_found;
}

static void put(const char *key)
{
	cr_assert_eq(tandem_kv_store_put(world.store, key, strlen(key), "value", 5, 0), 0);
}

Test(kv_store, an_ended_transaction_leaves_nothing)
{
	cr_assert_eq(tandem_kv_store_begin_write(world.store), 0);
	put("a");
	cr_assert_eq(tandem_kv_store_commit(world.store), 0);
	cr_assert_eq(tandem_kv_store_begin_write(world.store), 0);
	put("b");
	cr_assert_eq(tandem_kv_store_delete(world.store, "a", 1), 0);
	tandem_kv_store_end(world.store);
	cr_assert(is_there("a"));
	cr_assert_not(is_there("b"));
}

Test(kv_store, what_is_used_grows_with_what_is_committed)
{
	static const char value[100000];
	size_t before = tandem_kv_store_used_bytes(world.store);

	cr_assert_eq(tandem_kv_store_begin_write(world.store), 0);
	cr_assert_eq(tandem_kv_store_put(world.store, "a", 1, value, sizeof value, 0), 0);
	cr_expect_eq(tandem_kv_store_used_bytes(world.store), before);
	cr_assert_eq(tandem_kv_store_commit(world.store), 0);
	cr_expect_geq(tandem_kv_store_used_bytes(world.store), before + sizeof value);
	cr_expect_lt(tandem_kv_store_used_bytes(world.store), (size_t)4 << 20);
}

Test(kv_store, the_map_is_reopened_with_what_was_committed)
{
	struct tandem_error error = {0};
	struct stat status;

	cr_assert_eq(tandem_kv_store_begin_write(world.store), 0);
	put("a");
	cr_assert_eq(tandem_kv_store_commit(world.store), 0);
	world.store = tandem_kv_store_close(world.store);
	cr_assert_eq(stat(world.path, &status), 0);
	cr_assert_eq(status.st_size, 4 << 20);
	cr_assert_eq(tandem_kv_store_open(world.path, (size_t)4 << 20, &world.store, &error), 0);
	cr_assert(is_there("a"));
	cr_assert_eq(stat(world.path, &status), 0);
	cr_assert_eq(status.st_size, 4 << 20);
}

Test(kv_store, another_kind_of_file_is_refused)
{
	struct tandem_error error = {0};
	struct tandem_kv_store *store;
	char path[sizeof(world.path) + 8];
	int file;

	snprintf(path, sizeof(path), "%s.other", world.path);
	file = open(path, O_RDWR | O_CREAT, 0600);
	cr_assert_geq(file, 0);
	cr_assert_eq(ftruncate(file, 4 << 20), 0);
	close(file);
	cr_assert_eq(tandem_kv_store_open(path, (size_t)4 << 20, &store, &error), TANDEM_E_CONFIG);
	cr_assert(strstr(error.detail, "MDB_INVALID"), "%s", error.detail);
	unlink(path);
}

static void visit_count(void *context, const void *key, size_t key_length,
                        const struct tandem_kv_record *record)
{
	(void)key;
	(void)key_length;
	(void)record;
	(*(size_t *)context)++;
}

Test(kv_store, a_scan_goes_on_exactly_where_it_stopped)
{
	uint64_t position = 0;
	size_t visited = 0;

	cr_assert_eq(tandem_kv_store_begin_write(world.store), 0);
	for (int i = 0; i < 1000; i++) {
		char key[16];
		snprintf(key, sizeof(key), "key%d", i);
		put(key);
	}
	cr_assert_eq(tandem_kv_store_commit(world.store), 0);
	cr_assert_eq(tandem_kv_store_begin_read(world.store), 0);
	do {
		size_t before = visited;
		cr_assert_eq(tandem_kv_store_scan(world.store, position, 7, visit_count, &visited,
		                                  &position),
		             0);
		cr_assert_leq(visited - before, 7);
	} while (position != 0);
	tandem_kv_store_end(world.store);
	cr_assert_eq(visited, 1000);
}

Test(kv_store, room_shrinks_with_what_is_stored)
{
	struct tandem_kv_room empty;
	struct tandem_kv_room room;
	static char value[400000];

	cr_assert_eq(tandem_kv_store_room(world.store, &empty), 0);
	cr_assert_eq(empty.page_bytes, 4096);
	cr_assert_geq(empty.pages, 1000);
	cr_assert_lt(empty.pages, 1024);
	cr_assert_eq(tandem_kv_store_begin_write(world.store), 0);
	cr_assert_eq(tandem_kv_store_put(world.store, "k", 1, value, sizeof(value), 0), 0);
	cr_assert_eq(tandem_kv_store_commit(world.store), 0);
	cr_assert_eq(tandem_kv_store_room(world.store, &room), 0);
	cr_assert_leq(room.pages + 98, empty.pages);
	cr_assert_eq(room.value_pages, 98);
}
