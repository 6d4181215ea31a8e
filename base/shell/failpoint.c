#include <tandem/failpoint.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tandem/failpoint_table.h>

#define STOP_ARRIVES_MS 100
#define DELAY_MAX_MS    60000ul
#define VARIABLE        "TANDEM_FAILPOINT"

enum action {
	ACTION_KILL,
	ACTION_KILL_GROUP,
	ACTION_STOP,
	ACTION_STOP_GROUP,
	ACTION_DELAY,
	ACTION_ERROR,
	ACTION_SKIP,
	ACTION_COUNT,
};

static const char *const action_names[ACTION_COUNT] = {"kill",   "killgroup", "stop", "stopgroup",
                                                       "delay=", "error",     "skip"};

enum obeys { OBEYS_NOTHING, OBEYS_ERROR, OBEYS_SKIP };

static const struct point {
	const char *name;
	enum obeys obeys;
} points[] = {
#define X(name, obeys, text) {#name, OBEYS_##obeys},
        TANDEM_FAILPOINT_TABLE(X)
#undef X
};
#define POINT_COUNT (sizeof(points) / sizeof(points[0]))

int tandem_failpoint_armed;

/* Written by load only, before threads start. */
static const struct point *armed_point;
static enum action armed_action;
static unsigned long armed_count, armed_delay_ms;
static bool is_armed_for_good;
static atomic_ulong pass_count;

static void refuse(const char *text, const char *why)
{
	fprintf(stderr,
	        VARIABLE " is '%s': %s; it must be NAME:ACTION[:COUNT[+]] with one of the actions "
	                 "kill, killgroup, stop, stopgroup, delay=MS, error, skip\n",
	        text, why);
	exit(2);
}

static void refuse_name(const char *text)
{
	fprintf(stderr, VARIABLE " is '%s': no place has that name; there are", text);
	for (size_t i = 0; i < POINT_COUNT; i++)
		fprintf(stderr, " %s", points[i].name);
	fputs("\n", stderr);
	exit(2);
}

static const struct point *find_point(const char *text, size_t length)
{
	for (size_t i = 0; i < POINT_COUNT; i++) {
		if (strlen(points[i].name) == length && strncmp(points[i].name, text, length) == 0)
			return &points[i];
	}
	return NULL;
}

/* A number from 1 on that ends where *end is; 0 when there is none. */
static unsigned long read_number(const char *text, const char **end)
{
	char *number_end;

	errno = 0;
	unsigned long number = strtoul(text, &number_end, 10);
	*end = number_end;
	return *text < '1' || *text > '9' || errno ? 0 : number;
}

/* What follows the action, or NULL. */
static const char *read_action(const char *text)
{
	for (int i = 0; i < ACTION_COUNT; i++) {
		size_t length = strlen(action_names[i]);
		if (strncmp(action_names[i], text, length) != 0)
			continue;
		const char *end = text + length;
		armed_action = (enum action)i;
		if (armed_action == ACTION_DELAY) {
			armed_delay_ms = read_number(end, &end);
			if (armed_delay_ms == 0 || armed_delay_ms > DELAY_MAX_MS)
				return NULL;
		}
		if (*end == '\0' || *end == ':')
			return end;
	}
	return NULL;
}

static bool read_count(const char *text)
{
	const char *end = text;

	armed_count = 1;
	if (*text == '\0')
		return true;
	armed_count = read_number(text + 1, &end);
	is_armed_for_good = *end == '+';
	return armed_count > 0 && end[is_armed_for_good] == '\0';
}

static void check_obedience(const char *text)
{
	if (armed_action == ACTION_ERROR && armed_point->obeys != OBEYS_ERROR)
		refuse(text, "nothing can fail there");
	if (armed_action == ACTION_SKIP && armed_point->obeys != OBEYS_SKIP)
		refuse(text, "nothing can be skipped there");
#ifndef TANDEM_SEEDED_FAULTS
	if (armed_action == ACTION_SKIP)
		refuse(text, "this build has no skip (cmake -DTANDEM_SEEDED_FAULTS=ON)");
#endif
}

void tandem_failpoint_load(void)
{
	const char *text = secure_getenv(VARIABLE);
	if (!text)
		return;
	const char *action = strchr(text, ':');
	if (!action)
		refuse(text, "it names no action");
	armed_point = find_point(text, (size_t)(action - text));
	if (!armed_point)
		refuse_name(text);
	const char *count = read_action(action + 1);
	if (!count)
		refuse(text, "no such action");
	if (!read_count(count))
		refuse(text, "the count is none");
	check_obedience(text);
	fprintf(stderr, VARIABLE " is armed: %s\n", text);
	tandem_failpoint_armed = 1;
	unsetenv(VARIABLE);
}

static bool is_due(const char *name)
{
	if (strcmp(name, armed_point->name) != 0)
		return false;
	unsigned long count = atomic_fetch_add(&pass_count, 1) + 1;
	return count == armed_count || (is_armed_for_good && count > armed_count);
}

/* A stop is taken before this thread goes on: one that is sent to a process, as a group's is, may
 * be taken by another thread a moment later. */
bool tandem_failpoint_pass(const char *name)
{
	if (!is_due(name))
		return false;
	switch (armed_action) {
	case ACTION_KILL:
		kill(getpid(), SIGKILL);
		return false;
	case ACTION_KILL_GROUP:
		kill(0, SIGKILL);
		return false;
	case ACTION_STOP:
		raise(SIGSTOP);
		return false;
	case ACTION_STOP_GROUP:
		kill(0, SIGSTOP);
		poll(NULL, 0, STOP_ARRIVES_MS);
		return false;
	case ACTION_DELAY:
		poll(NULL, 0, (int)armed_delay_ms);
		return false;
	case ACTION_ERROR:
	case ACTION_SKIP:
		return true;
	case ACTION_COUNT:
		break;
	}
	return false;
}
