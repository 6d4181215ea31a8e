#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <tandem/life.h>
#include <unistd.h>

static _Atomic uint32_t *shared_word(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert(memory != MAP_FAILED);
	return memory;
}

static enum tandem_life life_of(const _Atomic uint32_t *word)
{
	return tandem_life_read(atomic_load(word));
}

static void *live(void *word)
{
	tandem_life_begin(word);
	for (;;)
		pause();
	return NULL;
}

static void *live_and_end_in_order(void *word)
{
	tandem_life_begin(word);
	tandem_life_end(word);
	return NULL;
}

static void wait_while(const _Atomic uint32_t *word, enum tandem_life life)
{
	uint32_t value = atomic_load(word);
	while (tandem_life_read(value) == life) {
		cr_assert(tandem_life_wait(&word, &value, 1));
		value = atomic_load(word);
	}
}

/* The process with a thread that lives; its first thread waits for ever. */
static pid_t start(_Atomic uint32_t *word)
{
	pid_t pid = fork();
	cr_assert(pid >= 0);
	if (pid == 0) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, live, word) != 0)
			_exit(1);
		for (;;)
			pause();
	}
	while (life_of(word) == TANDEM_LIFE_NONE)
		cr_assert(waitpid(pid, NULL, WNOHANG) == 0);
	return pid;
}

Test(life, a_killed_process_is_told)
{
	_Atomic uint32_t *word = shared_word();
	pid_t pid = start(word);
	cr_expect_eq(life_of(word), TANDEM_LIFE_LIVES);
	kill(pid, SIGKILL);
	wait_while(word, TANDEM_LIFE_LIVES);
	cr_expect_eq(life_of(word), TANDEM_LIFE_OVER);
	waitpid(pid, NULL, 0);
	cr_expect_eq(life_of(word), TANDEM_LIFE_OVER);
}

Test(life, a_stopped_process_lives)
{
	_Atomic uint32_t *word = shared_word();
	pid_t pid = start(word);
	int status = 0;
	kill(pid, SIGSTOP);
	cr_assert_eq(waitpid(pid, &status, WUNTRACED), pid);
	cr_expect_eq(life_of(word), TANDEM_LIFE_LIVES);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	cr_expect_eq(life_of(word), TANDEM_LIFE_OVER);
}

Test(life, an_end_in_order_is_none)
{
	_Atomic uint32_t *word = shared_word();
	pthread_t thread;
	cr_assert_eq(pthread_create(&thread, NULL, live_and_end_in_order, word), 0);
	pthread_join(thread, NULL);
	cr_expect_eq(life_of(word), TANDEM_LIFE_NONE);
}

Test(life, a_reader_waits_with_memory_it_cannot_write)
{
	_Atomic uint32_t *word = shared_word();
	char path[] = "/tmp/tandem-life-XXXXXX";
	int fd = mkstemp(path);
	cr_assert(fd >= 0 && ftruncate(fd, 4096) == 0);
	unlink(path);
	word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	const _Atomic uint32_t *seen = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	cr_assert(word != MAP_FAILED && seen != MAP_FAILED);
	pid_t pid = start(word);
	kill(pid, SIGKILL);
	wait_while(seen, TANDEM_LIFE_LIVES);
	cr_expect_eq(life_of(seen), TANDEM_LIFE_OVER);
	waitpid(pid, NULL, 0);
}

Test(life, any_value_can_be_read)
{
	for (unsigned bit = 0; bit < 32; bit++)
		cr_expect_eq(tandem_life_read(UINT32_C(1) << bit),
		             bit == 30 ? TANDEM_LIFE_OVER : TANDEM_LIFE_NONE);
	cr_expect_eq(tandem_life_read(0), TANDEM_LIFE_NONE);
	cr_expect_eq(tandem_life_read(UINT32_C(0x80000001)), TANDEM_LIFE_LIVES);
	cr_expect_eq(tandem_life_read(UINT32_MAX), TANDEM_LIFE_OVER);
}
