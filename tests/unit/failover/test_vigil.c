#include <criterion/criterion.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <tandem/life.h>
#include <tandem/stats_page.h>
#include <unistd.h>

#include "directory.h"
#include "shell/vigil.h"

#define PLACES 2

static struct event_base *base;
static struct tandem_vigil *vigil;
static char directory[DIRECTORY_BYTES];
static unsigned told_count;
static size_t told_place;
static uint64_t told_incarnation;

static void on_end(void *context, size_t place, uint64_t incarnation)
{
	(void)context;
	told_count++;
	told_place = place;
	told_incarnation = incarnation;
	event_base_loopbreak(base);
}

static void open_vigil(void)
{
	struct tandem_error error = {0};
	directory_make(directory);
	base = event_base_new();
	told_count = 0;
	cr_assert_eq(tandem_vigil_new(base, PLACES, on_end, NULL, &vigil, &error), 0, "%s",
	             error.detail);
}

static void close_vigil(void)
{
	tandem_vigil_free(vigil);
	event_base_free(base);
	directory_remove(directory);
}

struct script {
	bool begins_late;
	bool ends_in_order;
};

struct program {
	pid_t pid;
	int word_fd;
	int ready_fd;
};

static void await_ready(const struct program *program)
{
	char byte;
	cr_assert_eq(read(program->ready_fd, &byte, 1), 1);
}

/* A process with a page of that incarnation, and a thread that plays the script. */
static struct program start(const char *pair, uint64_t incarnation, struct script script)
{
	int words[2], answers[2];
	char number[24];
	char program_name[] = "vigil_program", late[] = "begins_late", order[] = "ends_in_order";
	char pair_name[16];
	char *arguments[] = {program_name, directory, pair_name, number, NULL, NULL};
	posix_spawn_file_actions_t files;
	struct program program;
	if (script.begins_late || script.ends_in_order)
		arguments[4] = script.begins_late ? late : order;
	snprintf(pair_name, sizeof(pair_name), "%s", pair);
	snprintf(number, sizeof(number), "%llu", (unsigned long long)incarnation);
	cr_assert(pipe2(words, O_CLOEXEC) == 0 && pipe2(answers, O_CLOEXEC) == 0);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, words[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, answers[1], STDOUT_FILENO);
	cr_assert_eq(
	        posix_spawn(&program.pid, TANDEM_VIGIL_PROGRAM, &files, NULL, arguments, environ),
	        0);
	posix_spawn_file_actions_destroy(&files);
	close(words[0]);
	close(answers[1]);
	program.word_fd = words[1];
	program.ready_fd = answers[0];
	await_ready(&program); /* its page is there */
	return program;
}

static void say_word(const struct program *program)
{
	cr_assert_eq(write(program->word_fd, "w", 1), 1);
}

static void end(const struct program *program)
{
	kill(program->pid, SIGKILL);
	waitpid(program->pid, NULL, 0);
	close(program->word_fd);
	close(program->ready_fd);
}

static void expect_told(size_t place, uint64_t incarnation)
{
	struct timeval deadline = {.tv_sec = 20};
	event_base_loopexit(base, &deadline);
	event_base_dispatch(base);
	cr_assert_eq(told_count, 1);
	cr_expect_eq(told_place, place);
	cr_expect_eq(told_incarnation, incarnation);
	told_count = 0;
}

/* [L12] */
Test(vigil, the_end_of_a_program_is_told, .init = open_vigil, .fini = close_vigil)
{
	struct program program = start("one", 7, (struct script){0});
	await_ready(&program);
	tandem_vigil_watch(vigil, 1, directory, "one", 7);
	end(&program);
	expect_told(1, 7);
}

Test(vigil, a_thread_that_begins_after_ready_is_watched, .init = open_vigil, .fini = close_vigil)
{
	struct program program = start("one", 7, (struct script){.begins_late = true});
	tandem_vigil_watch(vigil, 0, directory, "one", 7);
	say_word(&program);
	await_ready(&program);
	end(&program);
	expect_told(0, 7);
}

/* Whoever is not told of would have been told before the other, of whom it is certain. */
Test(vigil, neither_an_end_in_order_nor_a_replaced_program_is_told, .init = open_vigil,
     .fini = close_vigil)
{
	struct program ordered = start("one", 7, (struct script){.ends_in_order = true});
	struct program replaced = start("two", 8, (struct script){0});
	await_ready(&ordered);
	await_ready(&replaced);
	tandem_vigil_watch(vigil, 0, directory, "one", 7);
	tandem_vigil_watch(vigil, 1, directory, "two", 8);
	say_word(&ordered);
	await_ready(&ordered);
	struct program last = start("two", 9, (struct script){0});
	await_ready(&last);
	tandem_vigil_watch(vigil, 1, directory, "two", 9);
	end(&ordered);
	end(&replaced);
	end(&last);
	expect_told(1, 9);
}

Test(vigil, another_incarnation_is_not_watched, .init = open_vigil, .fini = close_vigil)
{
	struct program old = start("one", 7, (struct script){0});
	struct program other = start("two", 8, (struct script){0});
	await_ready(&old);
	await_ready(&other);
	tandem_vigil_watch(vigil, 0, directory, "one", 70);
	tandem_vigil_watch(vigil, 0, directory, "none", 7);
	tandem_vigil_watch(vigil, 1, directory, "two", 8);
	end(&old);
	end(&other);
	expect_told(1, 8);
}
