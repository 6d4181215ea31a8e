#include <tandem/failpoint.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STOP_ARRIVES_MS 100

enum action {
	ACTION_KILL,
	ACTION_KILL_GROUP,
	ACTION_STOP,
	ACTION_STOP_GROUP,
	ACTION_COUNT,
};

static const char *const action_names[ACTION_COUNT] = {"kill", "killgroup", "stop", "stopgroup"};

int tandem_failpoint_armed;

/* Written by load only, before threads start. */
static char armed_name[64];
static enum action armed_action;
static unsigned long armed_count;
static atomic_ulong pass_count;

static void refuse(const char *text)
{
	fprintf(stderr,
	        "TANDEM_FAILPOINT is '%s'; it must be NAME:kill|killgroup|stop|stopgroup:COUNT\n",
	        text);
	exit(2);
}

static int find_action(const char *text, size_t length, enum action *ret_action)
{
	for (int i = 0; i < ACTION_COUNT; i++) {
		if (strlen(action_names[i]) == length &&
		    strncmp(action_names[i], text, length) == 0) {
			*ret_action = (enum action)i;
			return 0;
		}
	}
	return -1;
}

void tandem_failpoint_load(void)
{
	const char *text = getenv("TANDEM_FAILPOINT");
	if (!text)
		return;
	const char *action = strchr(text, ':');
	const char *count = action ? strchr(action + 1, ':') : NULL;
	if (!count || action == text || (size_t)(action - text) >= sizeof(armed_name) ||
	    find_action(action + 1, (size_t)(count - action - 1), &armed_action) != 0)
		refuse(text);
	char *end;
	errno = 0;
	armed_count = strtoul(count + 1, &end, 10);
	if (count[1] < '1' || count[1] > '9' || *end || errno)
		refuse(text);
	memcpy(armed_name, text, (size_t)(action - text));
	tandem_failpoint_armed = 1;
}

/* A stop is taken before this thread goes on: one that is sent to a process, as a group's is, may
 * be taken by another thread a moment later. */
void tandem_failpoint_pass(const char *name)
{
	if (strcmp(name, armed_name) != 0 || atomic_fetch_add(&pass_count, 1) + 1 != armed_count)
		return;
	switch (armed_action) {
	case ACTION_KILL:
		kill(getpid(), SIGKILL);
		break;
	case ACTION_KILL_GROUP:
		kill(0, SIGKILL);
		break;
	case ACTION_STOP:
		raise(SIGSTOP);
		break;
	case ACTION_STOP_GROUP:
		kill(0, SIGSTOP);
		poll(NULL, 0, STOP_ARRIVES_MS);
		break;
	case ACTION_COUNT:
		break;
	}
}
