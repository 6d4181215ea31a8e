#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "directory.h"
#include "shell/register.h"

static char top[DIRECTORY_BYTES];
static char directory[DIRECTORY_BYTES + 32];

static void begin(void)
{
	directory_make(top);
	snprintf(directory, sizeof(directory), "%s/deeper/kv", top);
	cr_assert(tandem_register_prepare(directory, NULL) == 0);
}

static void end(void)
{
	directory_remove(top);
}

TestSuite(register, .init = begin, .fini = end);

static struct tandem_record make_record(uint64_t generation, uint64_t decision)
{
	return (struct tandem_record){.generation = generation,
	                              .owner_incarnation = 1,
	                              .decision = decision,
	                              .pair = "kv",
	                              .owner = "a"};
}

static struct tandem_record nothing(void)
{
	return (struct tandem_record){.generation = 0};
}

static enum tandem_register_outcome swap(struct tandem_record expected,
                                         struct tandem_record desired,
                                         struct tandem_record *ret_current)
{
	struct tandem_error error;
	return tandem_register_cas(directory, &expected, &desired, ret_current, &error);
}

static unsigned count_files(void)
{
	unsigned count = 0;
	DIR *folder = opendir(directory);
	for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

Test(register, is_empty_at_first_and_then_holds_the_winner)
{
	struct tandem_record seen, other;
	cr_assert(tandem_register_read(directory, "kv", &seen, NULL) == 0);
	cr_assert(seen.generation == 0);
	cr_assert(swap(nothing(), make_record(1, 10), &other) == TANDEM_REGISTER_WON);
	cr_assert(tandem_register_read(directory, "kv", &seen, NULL) == 0);
	cr_assert(seen.decision == 10);
	cr_assert(swap(nothing(), make_record(1, 11), &other) == TANDEM_REGISTER_LOST);
	cr_assert(other.decision == 10);
}

Test(register, a_cas_names_the_record_that_it_replaces)
{
	struct tandem_record other;
	swap(nothing(), make_record(1, 10), &other);
	cr_expect(swap(make_record(1, 99), make_record(2, 20), &other) == TANDEM_REGISTER_LOST,
	          "right generation, another decision");
	cr_expect(swap(make_record(1, 10), make_record(2, 20), &other) == TANDEM_REGISTER_WON);
	cr_expect(swap(make_record(1, 10), make_record(2, 21), &other) == TANDEM_REGISTER_LOST,
	          "an old one");
	cr_expect(other.decision == 20);
}

Test(register, a_winner_that_asks_again_has_won)
{
	struct tandem_record other;
	swap(nothing(), make_record(1, 10), &other);
	cr_expect(swap(nothing(), make_record(1, 10), &other) == TANDEM_REGISTER_WON);
	swap(make_record(1, 10), make_record(2, 20), &other);
	cr_expect(swap(nothing(), make_record(1, 10), &other) == TANDEM_REGISTER_LOST,
	          "but it was replaced since");
}

Test(register, only_the_newest_records_stay)
{
	struct tandem_record other, seen;
	struct tandem_record last = nothing();
	for (uint64_t generation = 1; generation <= 40; generation++) {
		struct tandem_record next = make_record(generation, generation);
		cr_assert(swap(last, next, &other) == TANDEM_REGISTER_WON);
		tandem_register_prune(directory, generation);
		last = next;
	}
	cr_expect(count_files() == TANDEM_REGISTER_KEPT, "no draft is left either");
	cr_assert(tandem_register_read(directory, "kv", &seen, NULL) == 0);
	cr_expect(seen.generation == 40);
}

/* Who slept between reading and linking, until his generation was pruned, does not win. */
Test(register, a_pruned_generation_is_not_won_again)
{
	struct tandem_record other, seen;
	char path[160];
	swap(nothing(), make_record(1, 10), &other);
	swap(make_record(1, 10), make_record(2, 20), &other);
	struct tandem_record late = make_record(1, 77);
	snprintf(path, sizeof(path), "%s/gen-%020d", directory, 1);
	unlink(path);
	uint8_t bytes[TANDEM_RECORD_BYTES];
	tandem_record_encode(&late, bytes);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	cr_assert((size_t)write(fd, bytes, sizeof(bytes)) == sizeof(bytes));
	close(fd);
	cr_expect(swap(nothing(), late, &other) == TANDEM_REGISTER_LOST);
	cr_expect(other.decision == 20);
	cr_assert(tandem_register_read(directory, "kv", &seen, NULL) == 0);
	cr_expect(seen.decision == 20);
}

static void put(const char *name, const void *bytes, size_t length)
{
	char path[160];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	cr_assert((size_t)write(fd, bytes, length) == length);
	close(fd);
}

Test(register, what_is_no_record_of_the_pair_is_an_error_never_empty)
{
	struct tandem_record seen;
	struct tandem_error error;
	put("gen-00000000000000000001", "nonsense", 8);
	cr_expect(tandem_register_read(directory, "kv", &seen, &error) == TANDEM_E_PROTOCOL);
	cr_expect(swap(nothing(), make_record(1, 10), &seen) == TANDEM_REGISTER_FAILED);
	uint8_t bytes[TANDEM_RECORD_BYTES];
	struct tandem_record record = make_record(1, 10);
	tandem_record_encode(&record, bytes);
	put("gen-00000000000000000001", bytes, sizeof(bytes));
	cr_expect(tandem_register_read(directory, "db", &seen, &error) == TANDEM_E_PROTOCOL,
	          "of another pair");
	put("gen-00000000000000000002", bytes, sizeof(bytes));
	cr_expect(tandem_register_read(directory, "kv", &seen, &error) == TANDEM_E_PROTOCOL,
	          "of another generation");
}

Test(register, other_names_do_not_matter)
{
	struct tandem_record seen;
	put("gen-1", "x", 1);
	put("gen-0000000000000000000a", "x", 1);
	put("gen-99999999999999999999", "x", 1);
	put("draft-1234", "x", 1);
	cr_assert(tandem_register_read(directory, "kv", &seen, NULL) == 0);
	cr_expect(seen.generation == 0);
}

Test(register, a_missing_directory_is_said_and_decides_nothing)
{
	struct tandem_error error;
	struct tandem_record other, expected = nothing(), desired = make_record(1, 1);
	cr_expect(tandem_register_read("/tmp/tandem-there-is-none", "kv", &other, &error) ==
	          TANDEM_E_SYSTEM);
	cr_expect(tandem_register_cas("/tmp/tandem-there-is-none", &expected, &desired, &other,
	                              &error) == TANDEM_REGISTER_FAILED);
}

Test(register, adopts_what_is_newer_and_of_two_words_the_same_on_both_nodes)
{
	struct tandem_record other, seen;
	struct tandem_record newer = make_record(5, 50), rival = make_record(5, 60);
	struct tandem_record older = make_record(4, 99), lower = make_record(5, 40);
	swap(nothing(), make_record(1, 10), &other);
	cr_assert(tandem_register_adopt(directory, &newer, NULL) == 0);
	cr_assert(tandem_register_adopt(directory, &older, NULL) == 0);
	cr_assert(tandem_register_adopt(directory, &lower, NULL) == 0);
	cr_assert(tandem_register_read(directory, "kv", &seen, NULL) == 0);
	cr_expect(seen.decision == 50);
	cr_assert(tandem_register_adopt(directory, &rival, NULL) == 0);
	cr_assert(tandem_register_read(directory, "kv", &seen, NULL) == 0);
	cr_expect(seen.decision == 60);
}
