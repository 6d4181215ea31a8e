/* A write transaction makes no call that changes a file or its mapping: what Tandem cannot see in
 * the page table would be lost on the other node. The kernel ends the child that makes one. */

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store.h"

#define MAP_BYTES ((size_t)16 << 20)

static const int forbidden[] = {
        SYS_write,          SYS_pwrite64,          SYS_writev,          SYS_pwritev, SYS_pwritev2,
        SYS_ftruncate,      SYS_fallocate,         SYS_msync,           SYS_fsync,   SYS_fdatasync,
        SYS_sendfile,       SYS_copy_file_range,   SYS_sync_file_range, SYS_splice,  SYS_mremap,
        SYS_io_uring_enter, SYS_process_vm_writev,
};
#define FORBIDDEN_COUNT (sizeof(forbidden) / sizeof(forbidden[0]))

static void forbid(void)
{
	struct sock_filter filter[2 * FORBIDDEN_COUNT + 2];
	struct sock_fprog program = {.filter = filter};
	unsigned short count = 0;

	filter[count++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
	                                               offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < FORBIDDEN_COUNT; i++) {
		filter[count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
		                                               (unsigned)forbidden[i], 0, 1);
		filter[count++] =
		        (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	}
	filter[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = count;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(90);
}

static void must(int result)
{
	if (result != 0)
		_exit(91);
}

/* Small and long values, overwritten and deleted, an abort, a map that runs full, an emptied tree.
 */
static void exercise(struct tandem_kv_store *store)
{
	static char value[300000];
	int result = 0;

	for (int turn = 0; turn < 50; turn++) {
		must(tandem_kv_store_begin_write(store));
		for (int i = 0; i < 200; i++) {
			int key = (turn * 37 + i) % 900;
			must(tandem_kv_store_put(store, &key, sizeof(key), value,
			                         i == 0 ? sizeof(value) : (size_t)i * 3, 0));
			key = (turn * 11 + i) % 900;
			if (i % 3 == 0)
				must(tandem_kv_store_delete(store, &key, sizeof(key)));
		}
		if (turn % 10 == 9)
			tandem_kv_store_end(store);
		else
			must(tandem_kv_store_commit(store));
	}
	must(tandem_kv_store_begin_write(store));
	for (int key = 1000; result == 0; key++)
		result = tandem_kv_store_put(store, &key, sizeof(key), value, sizeof(value), 0);
	if (result != TANDEM_E_MEMORY)
		_exit(92);
	tandem_kv_store_end(store);
	must(tandem_kv_store_begin_write(store));
	must(tandem_kv_store_clear(store));
	must(tandem_kv_store_commit(store));
}

/* What the child does under the filter. */
enum deed { TRANSACTIONS, PWRITE, MSYNC };

static int end_of(enum deed deed, const char *path)
{
	struct tandem_error error = {0};
	struct tandem_kv_store *store;
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		void *page =
		        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		must(tandem_kv_store_open(path, MAP_BYTES, &store, &error));
		forbid();
		if (deed == TRANSACTIONS)
			exercise(store);
		else if (deed == PWRITE)
			syscall(SYS_pwrite64, 1, "x", 1, 0);
		else
			syscall(SYS_msync, page, 4096, MS_ASYNC);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int main(void)
{
	char path[64];
	int quiet;
	int loud;
	int syncing;

	(void)snprintf(path, sizeof(path), "/dev/shm/tandem-test-quiet.%ld", (long)getpid());
	quiet = end_of(TRANSACTIONS, path);
	loud = end_of(PWRITE, path);
	syncing = end_of(MSYNC, path);
	unlink(path);
	printf("transactions %d, pwrite %d, msync %d\n", quiet, loud, syncing);
	return quiet == 0 && loud == -SIGSYS && syncing == -SIGSYS ? EXIT_SUCCESS : EXIT_FAILURE;
}
