#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "region.h"

Test(kv_region, parses_lines_of_maps)
{
	struct tandem_kv_mapping mapping;

	cr_assert(tandem_kv_mapping_parse("7f5c8a000000-7f5c8e000000 rw-s 00001000 00:18 42   "
	                                  "                     /dev/shm/a file (deleted)\n",
	                                  &mapping));
	cr_assert_eq(mapping.start, 0x7f5c8a000000);
	cr_assert_eq(mapping.end, 0x7f5c8e000000);
	cr_assert_eq(mapping.offset, 0x1000);
	cr_assert_eq(mapping.device_major, 0);
	cr_assert_eq(mapping.device_minor, 0x18);
	cr_assert_eq(mapping.inode, 42);
	cr_assert(mapping.is_writable);
	cr_assert(mapping.is_shared);
	cr_assert(tandem_kv_mapping_parse("1000-2000 r--p 0 00:18 42\n", &mapping));
	cr_assert_not(mapping.is_writable);
	cr_assert_not(mapping.is_shared);
	cr_assert_not(tandem_kv_mapping_parse("", &mapping));
	cr_assert_not(tandem_kv_mapping_parse("2000-1000 rw-s 0 00:18 42\n", &mapping));
	cr_assert_not(tandem_kv_mapping_parse("1000-2000 rw 0 00:18 42\n", &mapping));
	cr_assert_not(tandem_kv_mapping_parse("garbage\n", &mapping));
}

static struct tandem_kv_mapping piece(uintptr_t start, uintptr_t end, uint64_t offset)
{
	return (struct tandem_kv_mapping){.start = start,
	                                  .end = end,
	                                  .offset = offset,
	                                  .is_writable = true,
	                                  .is_shared = true};
}

static bool joins(struct tandem_kv_mapping first, struct tandem_kv_mapping second)
{
	struct tandem_kv_range range = {0};

	tandem_kv_range_add(&range, &first);
	tandem_kv_range_add(&range, &second);
	return !range.is_broken;
}

Test(kv_region, joins_pieces_of_one_mapping_only)
{
	struct tandem_kv_mapping private = piece(0x3000, 0x4000, 0x2000);

	private.is_shared = false;
	cr_assert(joins(piece(0x1000, 0x3000, 0), piece(0x3000, 0x4000, 0x2000)));
	cr_assert_not(joins(piece(0x1000, 0x3000, 0), piece(0x5000, 0x6000, 0x2000)), "a gap");
	cr_assert_not(joins(piece(0x1000, 0x3000, 0), piece(0x3000, 0x4000, 0)), "mapped twice");
	cr_assert_not(joins(piece(0x1000, 0x3000, 0x1000), piece(0x3000, 0x4000, 0x3000)),
	              "the beginning is missing");
	cr_assert_not(joins(piece(0x1000, 0x3000, 0), private), "a private piece");
}

#define SIZE ((size_t)1 << 20)

static int shared_file(void)
{
	int file = memfd_create("kv-region", MFD_CLOEXEC);

	cr_assert_geq(file, 0);
	cr_assert_eq(ftruncate(file, SIZE), 0);
	return file;
}

Test(kv_region, finds_the_mapping_and_refuses_a_second_one)
{
	struct tandem_error error = {0};
	int file = shared_file();
	void *found = NULL;

	cr_assert_eq(tandem_kv_region_find(file, SIZE, &found, &error), TANDEM_E_UNSUPPORTED);
	void *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	cr_assert_neq(map, MAP_FAILED);
	cr_assert_eq(tandem_kv_region_find(file, SIZE, &found, &error), 0);
	cr_assert_eq(found, map);
	cr_assert_eq(tandem_kv_region_find(file, SIZE + 4096, &found, &error),
	             TANDEM_E_UNSUPPORTED);
	void *second = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	cr_assert_neq(second, MAP_FAILED);
	cr_assert_eq(tandem_kv_region_find(file, SIZE, &found, &error), TANDEM_E_UNSUPPORTED);
	munmap(second, SIZE);
	cr_assert_eq(tandem_kv_region_find(file, SIZE, &found, &error), 0);
	cr_assert_eq(mprotect(map, SIZE, PROT_READ), 0);
	cr_assert_eq(tandem_kv_region_find(file, SIZE, &found, &error), TANDEM_E_UNSUPPORTED);
	close(file);
}
