#include <criterion/criterion.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <tandem/clock.h>

#include "etcd_bed.h"

/* Three servers, and what becomes of a question while they elect. */
static struct etcd_cluster cluster;
static struct etcd_client client, rival;
static const struct tandem_record nothing;

static bool can_read(void *context)
{
	return etcd_read(context)->type == TANDEM_EVENT_RECORD;
}

static void begin(void)
{
	struct tandem_controller_pair pair = etcd_pair();
	pair.etcd.request_timeout_ns = 250 * TANDEM_NS_PER_MS;
	etcd_bed_begin();
	etcd_start(&cluster, 3, "http", NULL);
	size_t leader = etcd_leader(&cluster);
	for (size_t i = 0; i < 3; i++)
		etcd_pair_add(&pair, cluster.urls[(leader + i) % 3]);
	etcd_client_open(&client, "a", &pair);
	etcd_client_open(&rival, "b", &pair);
	etcd_wait_until(can_read, &client, "the cluster cannot be read");
	etcd_wait_until(can_read, &rival, "the cluster cannot be read");
}

static void end(void)
{
	etcd_client_close(&client);
	etcd_client_close(&rival);
	etcd_bed_end();
}

TestSuite(etcd_cluster, .init = begin, .fini = end);

/* As the machine does: again under the same decision, until the answer is certain. */
static enum tandem_event_type insist(struct etcd_client *who, const struct tandem_record *expected,
                                     const struct tandem_record *desired)
{
	uint64_t start_ns = tandem_clock_now_ns();
	unsigned failed_count = 0, doubt_count = 0;
	for (;;) {
		enum tandem_event_type type = etcd_cas(who, expected, desired)->type;
		failed_count += type == TANDEM_EVENT_CAS_FAILED;
		doubt_count += type == TANDEM_EVENT_CAS_DOUBT;
		uint64_t took_ns = tandem_clock_now_ns() - start_ns;
		cr_assert(took_ns < 30 * TANDEM_NS_PER_S, "%s", who->last.error.detail);
		if (type == TANDEM_EVENT_CAS_FAILED || type == TANDEM_EVENT_CAS_DOUBT)
			continue;
		cr_log_info("certain after %" PRIu64 " ms, %u failures, %u doubts",
		            took_ns / TANDEM_NS_PER_MS, failed_count, doubt_count);
		return type;
	}
}

static void expect_one_winner(void)
{
	struct tandem_record first = etcd_record(1, 10), mine = etcd_record(2, 20);
	struct tandem_record its = etcd_record(2, 21);
	enum tandem_event_type type = insist(&client, &first, &mine);
	enum tandem_event_type other = insist(&rival, &first, &its);
	cr_expect(type == TANDEM_EVENT_CAS_WON);
	cr_expect(other == TANDEM_EVENT_CAS_LOST);
	cr_expect(rival.last.record.decision == 20);
}

Test(etcd_cluster, a_leader_that_is_killed_is_replaced)
{
	struct tandem_record first = etcd_record(1, 10);
	cr_assert(insist(&client, &nothing, &first) == TANDEM_EVENT_CAS_WON);
	etcd_kill(&cluster, etcd_leader(&cluster));
	expect_one_winner();
}

/* It takes connections and requests, and answers nothing; later it wakes with the old question. */
Test(etcd_cluster, a_leader_that_is_stopped_holds_up_one_request)
{
	struct tandem_record first = etcd_record(1, 10), third = etcd_record(3, 30);
	size_t leader = etcd_leader(&cluster);
	cr_assert(insist(&client, &nothing, &first) == TANDEM_EVENT_CAS_WON);
	etcd_stop(&cluster, leader);
	expect_one_winner();
	kill(cluster.processes[leader], SIGCONT);
	struct tandem_record second = rival.last.record;
	cr_expect(insist(&rival, &second, &third) == TANDEM_EVENT_CAS_WON);
	etcd_wait_until(can_read, &client, "the cluster cannot be read");
	cr_expect(client.last.record.decision == 30);
}

Test(etcd_cluster, without_a_majority_nothing_is_decided_or_read)
{
	struct tandem_record first = etcd_record(1, 10), second = etcd_record(2, 20);
	cr_assert(insist(&client, &nothing, &first) == TANDEM_EVENT_CAS_WON);
	etcd_stop(&cluster, 1);
	etcd_stop(&cluster, 2);
	enum tandem_event_type type = etcd_cas(&client, &first, &second)->type;
	cr_expect(type == TANDEM_EVENT_CAS_DOUBT || type == TANDEM_EVENT_CAS_FAILED);
	cr_expect(etcd_read(&client)->type == TANDEM_EVENT_READ_FAILED);
	kill(cluster.processes[1], SIGCONT);
	kill(cluster.processes[2], SIGCONT);
	cr_expect(insist(&client, &first, &second) == TANDEM_EVENT_CAS_WON);
}
