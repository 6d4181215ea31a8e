#include <criterion/criterion.h>

#include <tandem/stats_page.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/tandem-stats-XXXXXX";
static char path[128];

static void setup(void)
{
	cr_assert_not_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/orders.stats", directory);
}

static void teardown(void)
{
	unlink(path);
	rmdir(directory);
}

TestSuite(stats_page, .init = setup, .fini = teardown);

Test(stats_page, a_reader_sees_what_the_writer_writes)
{
	struct tandem_stats *written = NULL;
	const struct tandem_stats *seen = NULL;
	struct stat file;
	cr_assert_eq(tandem_stats_create(directory, "orders", &written, NULL), 0);
	cr_assert_eq(tandem_stats_open(directory, "orders", &seen, NULL), 0);
	atomic_store(&written->epoch_committed, 41);
	tandem_histogram_add(&written->pause_ns, 1000);
	cr_assert_eq(atomic_load(&seen->epoch_committed), 41);
	cr_assert_eq(seen->pause_ns.count, 1);
	cr_assert_eq(stat(path, &file), 0);
	cr_assert_eq(file.st_mode & 07777, 0600);
	tandem_stats_close(written);
	tandem_stats_close(seen);
	tandem_stats_close(NULL);
}

Test(stats_page, takes_the_room_that_was_reserved)
{
	struct tandem_stats *written = NULL;
	struct stat reserved, file;
	char name[300];
	snprintf(name, sizeof(name), "%s.next", path);
	cr_assert_eq(tandem_stats_reserve(directory, "orders", NULL), 0);
	cr_assert_eq(tandem_stats_reserve(directory, "orders", NULL), 0);
	cr_assert_eq(stat(name, &reserved), 0);
	cr_expect_geq((size_t)reserved.st_blocks * 512, sizeof(struct tandem_stats));
	cr_assert_eq(tandem_stats_create(directory, "orders", &written, NULL), 0);
	cr_assert_eq(stat(path, &file), 0);
	cr_expect_eq(file.st_ino, reserved.st_ino);
	cr_expect_neq(stat(name, &reserved), 0);
	cr_expect_eq(written->magic, TANDEM_STATS_MAGIC);
	tandem_stats_close(written);
}

/* By a version whose page is smaller: its end would be met by SIGBUS. */
Test(stats_page, takes_no_room_that_is_too_small)
{
	struct tandem_stats *written = NULL;
	char name[300];
	snprintf(name, sizeof(name), "%s.next", path);
	int fd = open(name, O_RDWR | O_CREAT, 0600);
	cr_assert_eq(ftruncate(fd, 100), 0);
	close(fd);
	cr_assert_eq(tandem_stats_create(directory, "orders", &written, NULL), 0);
	memset((char *)written + sizeof(*written) - 1, 1, 1);
	tandem_stats_close(written);
	unlink(name);
}

Test(stats_page, is_made_anew_and_the_old_map_stays_readable)
{
	struct tandem_stats *first = NULL, *second = NULL;
	const struct tandem_stats *seen = NULL;
	cr_assert_eq(tandem_stats_create(directory, "orders", &first, NULL), 0);
	cr_assert_eq(tandem_stats_open(directory, "orders", &seen, NULL), 0);
	atomic_store(&first->epoch_committed, 41);
	cr_assert_eq(tandem_stats_create(directory, "orders", &second, NULL), 0);
	cr_assert_eq(atomic_load(&second->epoch_committed), 0);
	cr_assert_eq(atomic_load(&seen->epoch_committed), 41);
	tandem_stats_close(first);
	tandem_stats_close(second);
	tandem_stats_close(seen);
}

Test(stats_page, says_who_has_led)
{
	struct tandem_stats *written = NULL;
	cr_expect_not(tandem_stats_has_led(directory, "orders", 7));
	cr_assert_eq(tandem_stats_create(directory, "orders", &written, NULL), 0);
	written->incarnation = 7;
	cr_expect_not(tandem_stats_has_led(directory, "orders", 7));
	atomic_store(&written->generation, 1);
	cr_expect(tandem_stats_has_led(directory, "orders", 7));
	cr_expect_not(tandem_stats_has_led(directory, "orders", 8));
	tandem_stats_close(written);
}

Test(stats_page, a_missing_one_is_a_system_error)
{
	const struct tandem_stats *seen = NULL;
	struct tandem_error error;
	cr_assert_eq(tandem_stats_open(directory, "orders", &seen, &error), TANDEM_E_SYSTEM);
	cr_assert_eq(error.os_errno, ENOENT);
	cr_assert(strstr(error.detail, "orders.stats"));
	cr_assert_null(seen);
}

Test(stats_page, another_layout_is_a_version_error)
{
	const struct tandem_stats *seen = NULL;
	struct tandem_stats *written = NULL;
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	cr_assert_eq(ftruncate(fd, 100), 0);
	close(fd);
	cr_assert_eq(tandem_stats_open(directory, "orders", &seen, NULL), TANDEM_E_VERSION);
	cr_assert_eq(tandem_stats_create(directory, "orders", &written, NULL), 0);
	written->magic++;
	cr_assert_eq(tandem_stats_open(directory, "orders", &seen, NULL), TANDEM_E_VERSION);
	tandem_stats_close(written);
}

Test(stats_page, names_that_leave_the_directory_are_refused)
{
	struct tandem_stats *written = NULL;
	cr_assert_eq(tandem_stats_create(directory, "../x", &written, NULL), TANDEM_E_USAGE);
	cr_assert_eq(tandem_stats_create(directory, "", &written, NULL), TANDEM_E_USAGE);
	cr_assert_null(written);
}
