#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "shell/headline.h"

#define MS     UINT64_C(1000000)
#define NOW_NS (100000 * MS)

static struct tandem_machine machine;
static struct tandem_headline_facts facts;

/* Node alpha of a pair that beta leads or follows; the peer was just heard. */
static void begin(enum tandem_state state, const char *owner, bool is_pair)
{
	struct tandem_machine_config config = {.node = "alpha"};
	struct tandem_record *record = &machine.view.record;
	config.pair = TANDEM_CONTROLLER_PAIR_DEFAULT;
	config.pair.link_count = 1;
	snprintf(config.pair.name, sizeof(config.pair.name), "kv");
	snprintf(config.pair.peer_node, sizeof(config.pair.peer_node), "beta");
	tandem_machine_init(&machine, &config, 1, 1);
	tandem_detector_hear(&machine.detector, 0, NOW_NS - MS);
	machine.state = state;
	machine.view.is_known = true;
	record->generation = 7;
	record->is_pair = is_pair;
	snprintf(record->owner, sizeof(record->owner), "%s", owner);
	machine.program.has_session = machine.standby.has_session = true;
	machine.program.session_heard_ns = machine.standby.session_heard_ns = NOW_NS - 4 * MS;
	facts = (struct tandem_headline_facts){.has_page = true, .behind_ns = 3 * MS + MS / 2};
}

static void expect(const char *line, enum tandem_headline headline)
{
	char text[300];
	tandem_headline_spell(&machine, &facts, NOW_NS, text, sizeof(text));
	cr_expect_str_eq(text, line);
	cr_expect_eq(tandem_headline_of(&machine, NOW_NS), headline);
	cr_expect_eq(strncmp(text, tandem_headline_name(headline), strcspn(text, ":")), 0);
}

Test(headline, of_a_pair)
{
	begin(TANDEM_STATE_PRIMARY_PAIR, "alpha", true);
	expect("PROTECTED: alpha primary (generation 7), beta in sync, 3 ms behind",
	       TANDEM_HEADLINE_PROTECTED);
	facts.has_page = false;
	expect("PROTECTED: alpha primary (generation 7), beta in sync", TANDEM_HEADLINE_PROTECTED);
	begin(TANDEM_STATE_SECONDARY, "beta", true);
	expect("PROTECTED: beta primary (generation 7), alpha in sync, beta heard 4 ms ago",
	       TANDEM_HEADLINE_PROTECTED);
}

Test(headline, nobody_could_decide)
{
	const char *end = ", but the arbiter does not answer: no failover until it does";
	char line[200];
	begin(TANDEM_STATE_PRIMARY_PAIR, "alpha", true);
	machine.alarms = UINT32_C(1) << TANDEM_ALARM_ARBITER_UNREACHABLE;
	snprintf(line, sizeof(line),
	         "UNPROTECTED: alpha primary (generation 7), beta in sync, 3 ms behind%s", end);
	expect(line, TANDEM_HEADLINE_UNPROTECTED);
	begin(TANDEM_STATE_SECONDARY, "beta", true);
	machine.alarms = UINT32_C(1) << TANDEM_ALARM_ARBITER_UNREACHABLE;
	cr_expect_eq(tandem_headline_of(&machine, NOW_NS), TANDEM_HEADLINE_UNPROTECTED);
}

Test(headline, of_one_that_leads_alone)
{
	begin(TANDEM_STATE_PRIMARY_SOLO, "alpha", false);
	machine.program.has_session = false;
	expect("UNPROTECTED: alpha primary alone (generation 7), beta has no copy",
	       TANDEM_HEADLINE_UNPROTECTED);
	machine.program.has_session = true;
	expect("UNPROTECTED: alpha primary alone (generation 7), beta has no copy",
	       TANDEM_HEADLINE_UNPROTECTED);
	facts.is_copying = true;
	facts.copy_bytes_total = 1000000;
	facts.copy_bytes_done = 370100;
	expect("UNPROTECTED: alpha primary alone (generation 7), beta takes a copy, 37 %",
	       TANDEM_HEADLINE_UNPROTECTED);
	facts.copy_bytes_per_s = 100000;
	expect("UNPROTECTED: alpha primary alone (generation 7), beta takes a copy, 37 %, 7 s left",
	       TANDEM_HEADLINE_UNPROTECTED);
	facts.is_comparing = true;
	expect("UNPROTECTED: alpha primary alone (generation 7), beta is compared before it takes "
	       "a copy, 37 %, 7 s left",
	       TANDEM_HEADLINE_UNPROTECTED);
	facts.is_comparing = false;
	facts.copy_bytes_done = UINT64_MAX;
	expect("UNPROTECTED: alpha primary alone (generation 7), beta takes a copy, 99 %, 0 s left",
	       TANDEM_HEADLINE_UNPROTECTED);
}

Test(headline, while_it_is_decided)
{
	begin(TANDEM_STATE_GATED, "alpha", true);
	expect("DECIDING: alpha primary (generation 7) holds its output, beta is missing",
	       TANDEM_HEADLINE_DECIDING);
	machine.view.record.is_pair = false;
	expect("DECIDING: alpha primary (generation 7) holds its output, beta has a copy to be "
	       "recorded",
	       TANDEM_HEADLINE_DECIDING);
	begin(TANDEM_STATE_TAKING_OVER, "alpha", false);
	expect("DECIDING: alpha takes over (generation 7)", TANDEM_HEADLINE_DECIDING);
}

Test(headline, of_a_secondary_without_its_primary)
{
	begin(TANDEM_STATE_SECONDARY, "beta", true);
	machine.standby.has_session = false;
	expect("DECIDING: beta primary (generation 7) has no session with alpha, which holds the "
	       "copy",
	       TANDEM_HEADLINE_DECIDING);
	machine.detector.heard_ns[0] = NOW_NS - 5000 * MS;
	expect("DECIDING: beta primary (generation 7) is silent, alpha holds the copy",
	       TANDEM_HEADLINE_DECIDING);
}

/* Its session is there, as long as its device answers. */
Test(headline, of_a_secondary_whose_primary_hangs)
{
	begin(TANDEM_STATE_SECONDARY, "beta", true);
	machine.detector.heard_ns[0] = NOW_NS - 5000 * MS;
	machine.standby.session_heard_ns = NOW_NS - 5000 * MS;
	machine.standby.peer_beat = TANDEM_PEER_BEAT_STILL;
	machine.standby.beat_ns = NOW_NS - 5000 * MS;
	machine.standby.connection = 1;
	machine.standby.has_reported = true;
	machine.standby.report_ns = NOW_NS - MS;
	expect("DECIDING: beta primary (generation 7) is silent (its host answers, its process "
	       "hangs), alpha holds the copy",
	       TANDEM_HEADLINE_DECIDING);
	/* What this node itself does not report is no evidence against another one. */
	machine.standby.report_ns = NOW_NS - 5000 * MS;
	expect("DECIDING: beta primary (generation 7) is silent, alpha holds the copy",
	       TANDEM_HEADLINE_DECIDING);
}

Test(headline, of_a_copy_that_could_not_go_on)
{
	begin(TANDEM_STATE_SECONDARY, "beta", true);
	machine.standby.connection = 1;
	machine.standby.is_misfit = true;
	expect("UNPROTECTED: beta primary (generation 7), alpha holds the copy and has not what "
	       "the program needs to go on",
	       TANDEM_HEADLINE_UNPROTECTED);
}

Test(headline, of_one_that_waits)
{
	begin(TANDEM_STATE_JOINING, "beta", false);
	expect("WAITING: alpha takes a copy, beta primary alone (generation 7)",
	       TANDEM_HEADLINE_WAITING);
	machine.standby.has_session = false;
	expect("WAITING: alpha is JOINING, the register names beta alone (generation 7)",
	       TANDEM_HEADLINE_WAITING);
	machine.view.record.generation = 0;
	expect("WAITING: no node has led yet", TANDEM_HEADLINE_WAITING);
	machine.view.is_known = false;
	machine.state = TANDEM_STATE_INIT;
	expect("WAITING: alpha has not read the register yet", TANDEM_HEADLINE_WAITING);
	begin(TANDEM_STATE_HALTED, "beta", true);
	expect("HALTED: alpha is HALTED, the register names beta (generation 7)",
	       TANDEM_HEADLINE_HALTED);
	begin(TANDEM_STATE_MAINTENANCE, "alpha", true);
	expect("MAINTENANCE: alpha is MAINTENANCE, the register names alpha (generation 7), "
	       "nothing is decided until it ends",
	       TANDEM_HEADLINE_MAINTENANCE);
}

Test(headline, is_cut_and_not_overrun)
{
	char text[12];
	begin(TANDEM_STATE_PRIMARY_PAIR, "alpha", true);
	memset(text, 'x', sizeof(text));
	tandem_headline_spell(&machine, &facts, NOW_NS, text, 11);
	cr_expect_str_eq(text, "PROTECTED:");
	cr_expect_eq(text[11], 'x');
}
