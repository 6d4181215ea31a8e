#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/life.h>
#include <tandem/stats_page.h>
#include <unistd.h>

/* A protected program for the tests of the vigil: DIRECTORY PAIR INCARNATION [begins_late]
 * [ends_in_order]. It makes its page, and a thread plays the script. A byte on standard output: the
 * next step is done; one on standard input: it goes on. A program of its own, because a child that
 * was only forked has the locks of threads that it does not have. */

struct script {
	_Atomic uint32_t *life;
	bool begins_late;
	bool ends_in_order;
};

static void await_word(void)
{
	char byte;
	if (read(STDIN_FILENO, &byte, 1) != 1)
		_exit(1);
}

static void tell_ready(void)
{
	if (write(STDOUT_FILENO, "r", 1) != 1)
		_exit(1);
}

static void *live(void *context)
{
	const struct script *script = context;
	if (script->begins_late)
		await_word();
	tandem_life_begin(script->life);
	tell_ready();
	if (script->ends_in_order) {
		await_word();
		tandem_life_end(script->life);
		tell_ready();
	}
	for (;;)
		pause();
	return NULL;
}

int main(int argument_count, char **arguments)
{
	struct tandem_stats *page = NULL;
	struct tandem_error error;
	struct script script = {.life = NULL};
	pthread_t thread;
	if (argument_count < 4)
		return 2;
	for (int i = 4; i < argument_count; i++) {
		script.begins_late |= strcmp(arguments[i], "begins_late") == 0;
		script.ends_in_order |= strcmp(arguments[i], "ends_in_order") == 0;
	}
	if (tandem_stats_create(arguments[1], arguments[2], &page, &error) != 0) {
		fprintf(stderr, "%s\n", error.detail);
		return 1;
	}
	page->incarnation = strtoull(arguments[3], NULL, 10);
	script.life = &page->life;
	tell_ready();
	if (pthread_create(&thread, NULL, live, &script) != 0)
		return 1;
	for (;;)
		pause();
}
