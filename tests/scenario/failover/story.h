#ifndef TEST_FAILOVER_STORY_H
#define TEST_FAILOVER_STORY_H

#include <criterion/criterion.h>
#include <string.h>
#include <tandem/clock.h>

#include "cluster.h"
#include "core/rules.h"

#define MS TANDEM_NS_PER_MS

/* Each line is "MILLISECOND NODE WHAT", counted from a start at 1000. */
static struct cluster story;

static inline void begin_paired(void)
{
	cluster_init(&story, 1, TANDEM_ARBITER_FILE);
	cluster_start(&story);
	cluster_run(&story, 1000 * MS);
	cr_assert(cluster_record(&story, 0)->is_pair);
	story.trace_length = 0;
	story.trace[0] = 0;
}

/* The operator's word. */
static inline void say(unsigned node, enum tandem_event_type type, uint64_t generation)
{
	struct tandem_event event = {.type = type, .generation = generation};
	cluster_feed(&story, node, &event);
}

static inline void expect_trace(const char *expected)
{
	cr_assert(story.violation[0] == 0, "%s", story.violation);
	cr_expect_str_eq(story.trace, expected, "the story went:\n%s\nexpected:\n%s", story.trace,
	                 expected);
}

static inline enum tandem_state state_of(unsigned node)
{
	return story.nodes[node].machine.state;
}

#endif
