#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <tandem/memory.h>
#include <tandem/pagemap_abi.h>
#include <unistd.h>

#include "tracker_bed.h"

/* Memory that a child writes to through a mapping of its own, as a QEMU does to its guest's RAM. */

static pid_t child;
static int talk;      /* an order a packet, answered with an empty one when it is done */
static uint8_t *away; /* where the child has the region */

struct order {
	char what; /* 's' store, 'p' punch a hole, 'm' map something else there */
	unsigned page;
};

/* A userfaultfd travels as a descriptor does, and stays of the address space that made it. */
static void send_userfault(int socket_fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_iov = &data,
	                         .msg_iovlen = 1,
	                         .msg_control = control,
	                         .msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	const int fd =
	        (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | TANDEM_UFFD_USER_MODE_ONLY);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	(void)sendmsg(socket_fd, &message, 0);
	close(fd);
}

static int receive_userfault(int socket_fd)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_iov = &data,
	                         .msg_iovlen = 1,
	                         .msg_control = control,
	                         .msg_controllen = sizeof control};
	int fd = -1;

	if (recvmsg(socket_fd, &message, 0) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
	return fd;
}

static void obey(const struct order *order)
{
	uint8_t *page = away + order->page * BED_PAGE;

	if (order->what == 's')
		page[99]++;
	else if (order->what == 'p')
		bed_punch(order->page, 1);
	else
		mmap(page, BED_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED,
		     -1, 0);
}

static void be_child(int socket_fd)
{
	struct order order;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	send_userfault(socket_fd);
	while (recv(socket_fd, &order, sizeof order, 0) == sizeof order) {
		obey(&order);
		(void)send(socket_fd, "", 1, 0);
	}
	_exit(0);
}

static void tell(char what, unsigned page)
{
	const struct order order = {what, page};
	char byte;

	cr_assert_eq(send(talk, &order, sizeof order, 0), (ssize_t)sizeof order);
	cr_assert_eq(recv(talk, &byte, 1, 0), 1);
}

static void start(struct tandem_foreign *ret_writer)
{
	char path[64];
	int ends[2];

	bed_map(BED_SHM_FILE);
	away = mmap(NULL, BED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, bed_file, 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	child = fork();
	if (child == 0)
		be_child(ends[1]);
	close(ends[1]);
	talk = ends[0];
	snprintf(path, sizeof path, "/proc/%d/pagemap", child);
	ret_writer->userfault_fd = receive_userfault(talk);
	ret_writer->pagemap_fd = open(path, O_RDONLY | O_CLOEXEC);
	ret_writer->address = (uintptr_t)away;
	if (ret_writer->userfault_fd < 0)
		cr_skip("no userfaultfd in this kernel");
}

static void begin(bool is_exact_at_rest_only)
{
	struct tandem_foreign writer = {.is_exact_at_rest_only = is_exact_at_rest_only};
	struct tandem_error error;

	start(&writer);
	if (tandem_tracker_new_foreign(bed_base, BED_BYTES, &writer, &bed_tracker, &error) < 0)
		cr_skip("no PAGEMAP_SCAN in this kernel");
	bed_scan();
}

static void end(void)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(talk);
	munmap(away, BED_BYTES);
	bed_untrack();
}

Test(tracker_foreign, the_other_process_is_seen)
{
	begin(false);
	cr_expect_eq(tandem_tracker_kind(bed_tracker), TANDEM_TRACKER_PAGEMAP);
	cr_expect_not(tandem_tracker_needs_quiescence(bed_tracker));
	bed_expect_nothing("nobody has stored");
	tell('s', 7);
	bed_expect_only(7, false, "a store over there");
	cr_expect_eq(bed_base[7 * BED_PAGE + 99], 1, "it is the same memory");
	tell('s', 7);
	tell('s', BED_PAGES - 1);
	bed_scan();
	cr_expect_eq(bed_dirty_count(), 2);
	bed_expect_nothing("each is told once");
	end();
}

Test(tracker_foreign, reading_here_hides_nothing)
{
	begin(false);
	for (unsigned page = 0; page < BED_PAGES; page++) {
		tell('s', page);
		cr_expect_eq(bed_base[page * BED_PAGE + 99], 1);
		bed_expect_only(page, false, "a store to a page that is read here");
	}
	end();
}

Test(tracker_foreign, its_holes_are_zeros_and_have_moved)
{
	begin(false);
	tell('s', 5);
	bed_scan();
	(void)tandem_tracker_take_moved(bed_tracker);
	tell('p', 5);
	bed_expect_only(5, true, "a hole over there");
	cr_expect(tandem_tracker_take_moved(bed_tracker), "a device has to be told");
	tell('p', 5);
	tell('s', 5);
	bed_expect_only(5, false, "a hole that was filled again");
	cr_expect(tandem_tracker_take_moved(bed_tracker), "that is another page, too");
	end();
}

Test(tracker_foreign, its_devices_have_it_looked_at_when_it_is_at_rest)
{
	begin(true);
	cr_expect(tandem_tracker_needs_quiescence(bed_tracker));
	end();
}

/* An empty page table tells of no store: it must not be taken for a quiet one. */
Test(tracker_foreign, its_end_is_an_error)
{
	uint64_t dirty[TANDEM_BITMAP_WORDS(BED_PAGES)] = {0};
	struct tandem_error error;

	begin(false);
	tell('s', 3);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	cr_assert_eq(bed_scan_words(bed_tracker, dirty, &error), TANDEM_E_UNSUPPORTED);
	cr_expect_not_null(strstr(error.detail, "has ended"), "%s", error.detail);
	end();
}

Test(tracker_foreign, something_else_in_the_place_is_an_error)
{
	uint64_t dirty[TANDEM_BITMAP_WORDS(BED_PAGES)] = {0};
	struct tandem_error error;

	begin(false);
	tell('m', 9);
	cr_assert_eq(bed_scan_words(bed_tracker, dirty, &error), TANDEM_E_UNSUPPORTED);
	cr_expect_not_null(strstr(error.detail, "something else"), "%s", error.detail);
	end();
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* With the allocation number N and all later ones failing, until they are enough. */
Test(tracker_foreign, without_memory_it_is_an_error_and_closes_what_it_was_given)
{
	struct tandem_foreign writer = {0}, given;
	struct tandem_error error;
	uint64_t number = 0;
	int code;

	start(&writer);
	do {
		given = writer;
		given.userfault_fd = dup(writer.userfault_fd);
		given.pagemap_fd = dup(writer.pagemap_fd);
		tandem_memory_fail_from(++number);
		code = tandem_tracker_new_foreign(bed_base, BED_BYTES, &given, &bed_tracker,
		                                  &error);
		if (code == TANDEM_E_MEMORY)
			cr_assert(!is_open(given.userfault_fd) && !is_open(given.pagemap_fd),
			          "call %u", (unsigned)number);
	} while (code == TANDEM_E_MEMORY);
	tandem_memory_fail_from(0);
	cr_expect_gt(number, 10);
	if (code < 0)
		cr_skip("no PAGEMAP_SCAN in this kernel");
	bed_scan();
	tell('s', 3);
	bed_expect_only(3, false, "it works in the end");
	close(writer.userfault_fd);
	close(writer.pagemap_fd);
	end();
}
