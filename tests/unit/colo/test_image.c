#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shell/digest.h"
#include "shell/image.h"

static char directory[64];
static struct tandem_image image;
static struct tandem_layout layout;
static const struct tandem_region_table regions = {.count = 2, .entries = {{"a", 20}, {"b", 3}}};

static void begin_sparse(void)
{
	memcpy(directory, "/tmp/tandem-image-XXXXXX", sizeof "/tmp/tandem-image-XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	cr_assert(tandem_layout_init(&layout, &regions, 2, 16, 100));
	cr_assert_eq(tandem_image_init(&image, directory, "p", NULL), 0);
	cr_assert_eq(tandem_image_make(&image, &layout, NULL), 0);
}

static void begin(void)
{
	begin_sparse();
	cr_assert_eq(tandem_image_reserve_more(&image, UINT64_MAX, NULL), 0);
}

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/p/%s", directory, name);
	return path;
}

static void end(void)
{
	tandem_image_done(&image, true);
	unlink(path_of("state.blob"));
	rmdir(path_of(""));
	cr_expect_eq(rmdir(directory), 0, "nothing is left behind");
}

Test(image, files_are_private_whole_and_zero)
{
	struct stat found;

	begin();
	cr_assert_eq(stat(path_of("a"), &found), 0);
	cr_expect_eq(found.st_mode & 0777, 0600);
	cr_expect_eq(found.st_size, 20 * 4096);
	cr_expect_geq(found.st_blocks * 512, 20 * 4096, "no later store can find the disk full");
	cr_assert_eq(stat(path_of(""), &found), 0);
	cr_expect_eq(found.st_mode & 0777, 0700);
	for (unsigned byte = 0; byte < 20 * 4096; byte++)
		cr_assert(image.images[0][byte] == 0 && image.caches[0][byte] == 0);
	end();
}

static uint64_t room_of(const char *path)
{
	struct stat found;

	cr_assert_eq(stat(path, &found), 0);
	return (uint64_t)found.st_blocks * 512 / 4096;
}

static void expect_digest_of_zeros(uint64_t page)
{
	static const uint8_t zeros[4096];
	uint8_t found[TANDEM_DIGEST_BYTES], wanted[TANDEM_DIGEST_BYTES];

	tandem_image_digest(&image, page, 7, found);
	tandem_digest_page(zeros, 7, wanted);
	cr_expect_eq(memcmp(found, wanted, sizeof found), 0);
}

/* [C32] */
Test(image, only_data_has_room_until_all_of_it_is_asked_for)
{
	const struct tandem_run runs[] = {
	        {.first_page = 2, .page_count = 3, .kind = TANDEM_RUN_DATA},
	        {.first_page = 5, .page_count = 9, .kind = TANDEM_RUN_ZERO},
	        {.first_page = 33, .page_count = 1, .kind = TANDEM_RUN_DATA}};

	begin_sparse();
	cr_expect_eq(room_of(path_of("a")), 0);
	cr_assert_eq(tandem_image_reserve(&image, runs, 3, NULL), 0);
	cr_expect_eq(image.missing_pages, 19);
	for (unsigned run = 0; run < 3; run++)
		tandem_image_apply(&image, &runs[run]);
	expect_digest_of_zeros(3);
	expect_digest_of_zeros(6);
	expect_digest_of_zeros(32);
	cr_expect_eq(room_of(path_of("a")), 3);
	cr_expect_eq(room_of(path_of("b")), 1);
	for (unsigned left = 19; left > 0; left--) {
		cr_expect_eq(image.missing_pages, left);
		cr_assert_eq(tandem_image_reserve_more(&image, 1, NULL), 0);
	}
	cr_assert_eq(tandem_image_reserve_more(&image, 1, NULL), 0, "nothing is missing");
	cr_expect_geq(room_of(path_of("a")), 20, "the file system may count its own blocks, too");
	cr_expect_geq(room_of(path_of("b")), 3);
	end();
}

static bool mount_small(const char *options, unsigned long flags)
{
	return mount("tmpfs", directory, "tmpfs", flags, options) == 0;
}

/* In a mount namespace of this test's own process. */
Test(image, a_full_file_system_is_told_and_costs_nothing)
{
	const struct tandem_run run = {.first_page = 33, .page_count = 2, .kind = TANDEM_RUN_DATA};
	struct tandem_error error;
	int fd;

	memcpy(directory, "/tmp/tandem-image-XXXXXX", sizeof "/tmp/tandem-image-XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    !mount_small("size=64k", 0)) {
		rmdir(directory);
		cr_skip("no file system can be mounted here");
	}
	cr_assert(tandem_layout_init(&layout, &regions, 2, 16, 100));
	cr_assert_eq(tandem_image_init(&image, directory, "p", NULL), 0);
	cr_expect_eq(tandem_image_make(&image, &layout, &error), TANDEM_E_MEMORY);
	cr_expect(strstr(error.detail, "needs 92 KiB, and 6") != NULL &&
	                  strstr(error.detail, "larger") != NULL,
	          "%s", error.detail);
	cr_expect(!image.is_made);

	cr_assert(mount_small("size=128k", MS_REMOUNT));
	cr_assert_eq(tandem_image_make(&image, &layout, &error), 0, "%s", error.detail);
	fd = open(path_of("filler"), O_WRONLY | O_CREAT, 0600);
	for (off_t at = 0; posix_fallocate(fd, at, 4096) == 0; at += 4096)
		;
	memset(image.caches[1], 7, 3 * 4096);
	cr_expect_eq(tandem_image_reserve(&image, &run, 1, &error), TANDEM_E_MEMORY);
	cr_expect(strstr(error.detail, "/p/b needs") != NULL, "%s", error.detail);
	cr_expect_eq(tandem_image_reserve_more(&image, 1, &error), TANDEM_E_MEMORY);
	cr_expect_eq(tandem_image_check_room(&image, &error), TANDEM_E_MEMORY);
	cr_expect_eq(image.missing_pages, 23);

	cr_assert_eq(ftruncate(fd, 0), 0);
	cr_assert_eq(tandem_image_reserve(&image, &run, 1, &error), 0);
	tandem_image_apply(&image, &run);
	cr_assert_eq(tandem_image_reserve_more(&image, UINT64_MAX, NULL), 0);
	memset(image.images[0], 9, 20 * 4096);
	cr_expect_eq(image.images[1][4096], 7);
	cr_expect_eq(image.images[1][0], 0);
	close(fd);
	tandem_image_done(&image, true);
	umount2(directory, MNT_DETACH);
	rmdir(directory);
}

Test(image, a_run_is_copied_and_nothing_else)
{
	struct tandem_run run = {.first_page = 33, .page_count = 2, .kind = TANDEM_RUN_DATA};

	begin();
	memset(image.caches[1], 7, 3 * 4096);
	tandem_image_apply(&image, &run);
	cr_expect_eq(image.images[1][4095], 0);
	cr_expect_eq(image.images[1][4096], 7);
	cr_expect_eq(image.images[1][3 * 4096 - 1], 7);
	run.kind = TANDEM_RUN_ZERO;
	run.page_count = 1;
	tandem_image_apply(&image, &run);
	cr_expect_eq(image.images[1][4096], 0);
	cr_expect_eq(image.caches[1][4096], 0);
	cr_expect_eq(image.images[1][2 * 4096], 7);
	end();
}

/* A promoted program runs on the old files: a new copy must not touch them. */
Test(image, a_new_copy_leaves_who_runs_on_the_old_one_alone)
{
	uint8_t found = 0;
	int fd;

	begin();
	image.images[0][5] = 9;
	fd = open(path_of("a"), O_RDONLY);
	cr_assert_eq(tandem_image_make(&image, &layout, NULL), 0);
	cr_expect_eq(image.images[0][5], 0);
	cr_assert_eq(pread(fd, &found, 1, 5), 1);
	cr_expect_eq(found, 9);
	close(fd);
	end();
}

/* [C30] */
Test(image, what_an_earlier_life_left_is_taken_over)
{
	uint8_t digests[3][TANDEM_DIGEST_BYTES];

	begin();
	cr_expect(!image.has_content);
	image.takes_over = true;
	image.images[0][5] = 9;
	image.caches[0][5] = 9;
	tandem_image_digest(&image, 0, 1, digests[0]);
	tandem_image_done(&image, false);
	cr_assert_eq(tandem_image_make(&image, &layout, NULL), 0);
	cr_expect(image.has_content);
	cr_expect_eq(image.images[0][5], 9);
	cr_expect_eq(image.caches[0][5], 0);
	tandem_image_digest(&image, 0, 1, digests[1]);
	tandem_image_digest(&image, 0, 2, digests[2]);
	cr_expect_eq(memcmp(digests[0], digests[1], TANDEM_DIGEST_BYTES), 0);
	cr_expect_neq(memcmp(digests[0], digests[2], TANDEM_DIGEST_BYTES), 0, "another seed");
	tandem_image_digest(&image, 1, 1, digests[1]);
	cr_expect_neq(memcmp(digests[0], digests[1], TANDEM_DIGEST_BYTES), 0);
	end();
}

static void expect_not_taken_over(const char *why)
{
	cr_assert_eq(tandem_image_make(&image, &layout, NULL), 0);
	for (unsigned byte = 0; byte < 20 * 4096; byte++)
		cr_assert_eq(image.images[0][byte], 0, "%s", why);
}

/* [C30] A program that was superseded and still runs would write to our image. */
Test(image, what_somebody_else_can_write_to_or_is_no_image_is_not_taken_over)
{
	char elsewhere[128];
	uint8_t *other;
	int fd;

	begin();
	image.images[0][5] = 9;
	tandem_image_done(&image, false);
	expect_not_taken_over("nobody wishes it");

	image.takes_over = true;
	image.images[0][5] = 9;
	fd = open(path_of("a"), O_RDWR);
	tandem_image_done(&image, false);
	expect_not_taken_over("it is open");

	close(fd);
	fd = open(path_of("a"), O_RDWR);
	other = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	other[5] = 9;
	tandem_image_done(&image, false);
	expect_not_taken_over("it is mapped");
	munmap(other, 4096);

	image.images[0][5] = 9;
	tandem_image_done(&image, false);
	cr_assert_eq(truncate(path_of("a"), 19 * 4096), 0);
	expect_not_taken_over("another size");

	image.images[0][5] = 9;
	tandem_image_done(&image, false);
	snprintf(elsewhere, sizeof elsewhere, "%s", path_of("elsewhere"));
	cr_assert_eq(rename(path_of("a"), elsewhere), 0);
	cr_assert_eq(symlink("elsewhere", path_of("a")), 0);
	expect_not_taken_over("a symbolic link");

	tandem_image_done(&image, false);
	cr_assert_eq(unlink(path_of("a")), 0);
	cr_assert_eq(link(elsewhere, path_of("a")), 0);
	expect_not_taken_over("it has another name");
	unlink(elsewhere);
	end();
}

Test(image, the_state_is_written_anew)
{
	char found[8] = "";
	int fd;

	begin();
	cr_assert_eq(tandem_image_write_state(&image, "longer", 6, NULL), 0);
	cr_assert_eq(tandem_image_write_state(&image, "now", 3, NULL), 0);
	fd = open(path_of("state.blob"), O_RDONLY);
	cr_expect_eq(read(fd, found, sizeof found), 3);
	cr_expect_str_eq(found, "now");
	close(fd);
	end();
}

Test(image, what_cannot_be_made_is_named)
{
	struct tandem_error error;

	begin();
	tandem_image_done(&image, true);
	cr_expect_eq(tandem_image_init(&image, "relative", "p", &error), TANDEM_E_CONFIG);
	cr_assert_eq(tandem_image_init(&image, directory, "p", NULL), 0);
	rmdir(path_of(""));
	cr_expect_lt(tandem_image_make(&image, &layout, &error), 0);
	cr_expect(strstr(error.detail, "/p/a") != NULL, "%s", error.detail);
	cr_expect(!image.is_made);
	unlink(path_of("a"));
	unlink(path_of("b"));
	rmdir(directory);
}

Test(image, what_was_led_is_kept_aside_once)
{
	char kept[TANDEM_IMAGE_KEPT_BYTES], path[256];
	uint8_t found = 0;
	int fd;

	begin();
	image.images[0][5] = 9;
	cr_expect_eq(tandem_image_keep(&image, 7, kept, NULL), 0);
	cr_expect_str_eq(kept, "", "a copy that is in use is not moved");
	tandem_image_done(&image, false);
	cr_assert_eq(tandem_image_keep(&image, 7, kept, NULL), 0);
	snprintf(path, sizeof path, "%s/p.kept-7", directory);
	cr_expect_str_eq(kept, path);
	cr_assert_eq(tandem_image_make(&image, &layout, NULL), 0);
	snprintf(path, sizeof path, "%s/a", kept);
	fd = open(path, O_RDONLY);
	cr_assert_geq(fd, 0);
	cr_expect_eq(pread(fd, &found, 1, 5), 1);
	cr_expect_eq(found, 9);
	close(fd);
	unlink(path);
	snprintf(path, sizeof path, "%s/b", kept);
	unlink(path);
	snprintf(path, sizeof path, "%s/state.blob", kept);
	unlink(path);
	cr_expect_eq(rmdir(kept), 0);
	tandem_image_done(&image, true);
	cr_assert_eq(tandem_image_keep(&image, 8, kept, NULL), 0);
	cr_expect_str_eq(kept, "", "nothing is there");
	end();
}
