#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/clock.h>

#include "etcd_bed.h"
#include "proxy.h"

#define SHORT_NS TANDEM_NS_PER_S
#define LONG_NS  (20 * TANDEM_NS_PER_S)

static struct etcd_cluster cluster, other;
static struct etcd_client client, rival;
static struct proxy *proxy;
static const struct tandem_record nothing;

static void end(void)
{
	etcd_client_close(&client);
	etcd_client_close(&rival);
	if (proxy)
		proxy_close(proxy);
	etcd_bed_end();
}

TestSuite(etcd, .init = etcd_bed_begin, .fini = end);

static void open_direct(void)
{
	struct tandem_controller_pair pair = etcd_pair();
	etcd_start(&cluster, 1, "http", NULL);
	etcd_pair_add(&pair, cluster.urls[0]);
	etcd_client_open(&client, "a", &pair);
	etcd_client_open(&rival, "b", &pair);
}

/* `client` asks by the proxy, `rival` directly. */
static void open_proxied(bool has_second, uint64_t timeout_ns)
{
	struct tandem_controller_pair pair = etcd_pair(), direct = etcd_pair();
	char url[64];
	etcd_start(&cluster, 1, "http", NULL);
	proxy = proxy_open(etcd_base, cluster.ports[0]);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", proxy_port(proxy));
	pair.etcd.request_timeout_ns = timeout_ns;
	etcd_pair_add(&pair, url);
	if (has_second)
		etcd_pair_add(&pair, cluster.urls[0]);
	etcd_pair_add(&direct, cluster.urls[0]);
	etcd_client_open(&client, "a", &pair);
	etcd_client_open(&rival, "b", &direct);
	proxy_set(proxy, PROXY_PASS);
	cr_assert(etcd_read(&client)->type == TANDEM_EVENT_RECORD);
	cr_assert(etcd_read(&rival)->type == TANDEM_EVENT_RECORD);
}

static void expect_record(const struct tandem_arbiter_answer *answer, uint64_t generation,
                          uint64_t decision)
{
	cr_expect(answer->type == TANDEM_EVENT_RECORD, "%d %s", answer->type, answer->error.detail);
	cr_expect(answer->record.generation == generation);
	cr_expect(answer->record.decision == decision);
}

Test(etcd, a_record_is_created_replaced_and_read)
{
	struct tandem_record first = etcd_record(1, 10), second = etcd_record(2, 20);
	second.is_pair = true;
	second.copy_incarnation = 77;
	open_direct();
	expect_record(etcd_read(&client), 0, 0);
	cr_expect(etcd_cas(&client, &nothing, &first)->type == TANDEM_EVENT_CAS_WON);
	expect_record(etcd_read(&rival), 1, 10);
	cr_expect(etcd_cas(&rival, &first, &second)->type == TANDEM_EVENT_CAS_WON);
	expect_record(etcd_read(&client), 2, 20);
	cr_expect(client.last.record.is_pair);
	cr_expect(client.last.record.copy_incarnation == 77);
	cr_expect_str_eq(client.last.record.owner, "a");
	cr_expect(tandem_arbiter_report(client.arbiter)->round_trips_ns.count == 3);
	cr_expect_str_eq(tandem_arbiter_report(client.arbiter)->endpoint, cluster.urls[0]);
}

Test(etcd, a_lost_cas_brings_the_record_that_is_there)
{
	struct tandem_record first = etcd_record(1, 10), second = etcd_record(1, 20);
	open_direct();
	etcd_read(&client);
	etcd_read(&rival);
	etcd_cas(&client, &nothing, &first);
	cr_expect(etcd_cas(&rival, &nothing, &second)->type == TANDEM_EVENT_CAS_LOST);
	cr_expect(rival.last.record.decision == 10);
}

Test(etcd, of_two_that_ask_at_once_one_wins_each_time)
{
	struct tandem_record current = nothing;
	unsigned client_won_count = 0;
	open_direct();
	etcd_read(&client);
	etcd_read(&rival);
	for (uint64_t generation = 1; generation <= 100; generation++) {
		struct tandem_record mine = etcd_record(generation, 2 * generation);
		struct tandem_record its = etcd_record(generation, 2 * generation + 1);
		unsigned count = client.answer_count + 1, rival_count = rival.answer_count + 1;
		etcd_ask_cas(&client, &current, &mine);
		etcd_ask_cas(&rival, &current, &its);
		etcd_wait(&client, count);
		etcd_wait(&rival, rival_count);
		bool has_won = client.last.type == TANDEM_EVENT_CAS_WON;
		const struct tandem_arbiter_answer *won = has_won ? &client.last : &rival.last;
		const struct tandem_arbiter_answer *lost = has_won ? &rival.last : &client.last;
		cr_assert(won->type == TANDEM_EVENT_CAS_WON);
		cr_assert(lost->type == TANDEM_EVENT_CAS_LOST);
		current = has_won ? mine : its;
		cr_assert(tandem_record_is_same(&lost->record, &current));
		client_won_count += has_won;
	}
	expect_record(etcd_read(&client), 100, current.decision);
	cr_log_info("%u of 100 won by the first", client_won_count);
}

/* Else it would be no evidence after a pause of the server. */
Test(etcd, a_reading_takes_its_place_in_the_log_and_writes_nothing)
{
	struct tandem_record first = etcd_record(1, 10);
	open_direct();
	etcd_read(&client);
	etcd_cas(&client, &nothing, &first);
	uint64_t index = etcd_raft_index(&cluster, 0);
	char *before =
	        etcd_post(cluster.urls[0], "/v3/kv/range", "{\"key\":\"dGFuZGVtL3Rlc3Qva3Y=\"}");
	expect_record(etcd_read(&client), 1, 10);
	expect_record(etcd_read(&client), 1, 10);
	cr_expect(etcd_raft_index(&cluster, 0) >= index + 2);
	char *after =
	        etcd_post(cluster.urls[0], "/v3/kv/range", "{\"key\":\"dGFuZGVtL3Rlc3Qva3Y=\"}");
	cr_assert(strstr(before, "\"mod_revision\":\"2\"") != NULL);
	cr_expect_str_eq(before, after);
	free(before);
	free(after);
}

Test(etcd, a_swallowed_answer_is_a_doubt_that_a_reading_and_the_same_question_end)
{
	struct tandem_record first = etcd_record(1, 10);
	open_proxied(false, LONG_NS);
	proxy_set(proxy, PROXY_SWALLOW);
	cr_expect(etcd_cas(&client, &nothing, &first)->type == TANDEM_EVENT_CAS_DOUBT);
	cr_expect(strstr(client.last.error.detail, "127.0.0.1:") != NULL);
	proxy_set(proxy, PROXY_PASS);
	expect_record(etcd_read(&client), 1, 10);
	cr_expect(etcd_cas(&client, &nothing, &first)->type == TANDEM_EVENT_CAS_WON);
	expect_record(etcd_read(&rival), 1, 10);
}

Test(etcd, an_answer_that_does_not_come_is_a_doubt_in_time)
{
	struct tandem_record first = etcd_record(1, 10);
	open_proxied(false, SHORT_NS);
	proxy_set(proxy, PROXY_MUTE);
	uint64_t start_ns = tandem_clock_now_ns();
	cr_expect(etcd_cas(&client, &nothing, &first)->type == TANDEM_EVENT_CAS_DOUBT);
	uint64_t took_ns = tandem_clock_now_ns() - start_ns;
	cr_expect(took_ns >= SHORT_NS - 10 * TANDEM_NS_PER_MS && took_ns < LONG_NS);
	cr_expect(etcd_read(&client)->type == TANDEM_EVENT_READ_FAILED);
}

Test(etcd, the_next_endpoint_knows_that_the_first_had_done_it)
{
	struct tandem_record first = etcd_record(1, 10);
	open_proxied(true, LONG_NS);
	proxy_set(proxy, PROXY_SWALLOW);
	cr_expect(etcd_cas(&client, &nothing, &first)->type == TANDEM_EVENT_CAS_WON, "%s",
	          client.last.error.detail);
	cr_expect(proxy_swallowed_count(proxy) > 0);
	cr_expect_str_eq(tandem_arbiter_report(client.arbiter)->endpoint, cluster.urls[0]);
}

static bool something_was_swallowed(void *context)
{
	return proxy_swallowed_count(context) > 0;
}

static void ask_and_hold(const struct tandem_record *desired)
{
	open_proxied(false, SHORT_NS);
	proxy_set(proxy, PROXY_HOLD);
	cr_expect(etcd_cas(&client, &nothing, desired)->type == TANDEM_EVENT_CAS_DOUBT);
	proxy_set(proxy, PROXY_PASS);
	expect_record(etcd_read(&client), 0, 0);
}

static void let_go(void)
{
	proxy_release(proxy);
	etcd_wait_until(something_was_swallowed, proxy, "the server did not answer");
}

Test(etcd, what_is_applied_late_is_known_by_its_decision)
{
	struct tandem_record first = etcd_record(1, 10);
	ask_and_hold(&first);
	let_go();
	cr_expect(etcd_cas(&client, &nothing, &first)->type == TANDEM_EVENT_CAS_WON);
	expect_record(etcd_read(&rival), 1, 10);
}

Test(etcd, what_comes_after_another_record_is_never_applied)
{
	struct tandem_record first = etcd_record(1, 10), second = etcd_record(1, 20);
	ask_and_hold(&first);
	cr_expect(etcd_cas(&rival, &nothing, &second)->type == TANDEM_EVENT_CAS_WON);
	let_go();
	expect_record(etcd_read(&client), 1, 20);
	cr_expect(etcd_cas(&client, &nothing, &first)->type == TANDEM_EVENT_CAS_LOST);
}

Test(etcd, a_record_is_not_replaced_before_it_was_read)
{
	struct tandem_record first = etcd_record(1, 10);
	open_direct();
	cr_expect(etcd_cas(&client, &nothing, &first)->type == TANDEM_EVENT_CAS_FAILED);
	expect_record(etcd_read(&client), 0, 0);
}

Test(etcd, a_register_that_went_back_is_not_believed)
{
	struct tandem_record first = etcd_record(1, 10);
	open_direct();
	etcd_read(&client);
	etcd_cas(&client, &nothing, &first);
	free(etcd_post(cluster.urls[0], "/v3/kv/deleterange",
	               "{\"key\":\"dGFuZGVtL3Rlc3Qva3Y=\"}"));
	cr_expect(etcd_read(&client)->type == TANDEM_EVENT_READ_FAILED);
	cr_expect(strstr(client.last.error.detail, "generation 0") != NULL, "%s",
	          client.last.error.detail);
	cr_expect(etcd_cas(&client, &nothing, &first)->type == TANDEM_EVENT_CAS_FAILED);
	/* Nor in the next life of the controller. */
	struct tandem_controller_pair pair = etcd_pair();
	etcd_pair_add(&pair, cluster.urls[0]);
	etcd_client_close(&client);
	etcd_client_open(&client, "a", &pair);
	cr_expect(etcd_read(&client)->type == TANDEM_EVENT_READ_FAILED);
}

/* Another cluster, to which the record was even carried. */
static void carry_record(void)
{
	char body[1024], *range, *value;
	range = etcd_post(cluster.urls[0], "/v3/kv/range", "{\"key\":\"dGFuZGVtL3Rlc3Qva3Y=\"}");
	value = strstr(range, "\"value\":\"");
	cr_assert(value != NULL);
	value[9 + strcspn(value + 9, "\"") + 1] = 0;
	snprintf(body, sizeof(body), "{\"key\":\"dGFuZGVtL3Rlc3Qva3Y=\",%s}", value);
	free(etcd_post(other.urls[0], "/v3/kv/put", body));
	free(range);
}

Test(etcd, another_cluster_is_not_believed)
{
	struct tandem_record first = etcd_record(1, 10), second = etcd_record(2, 20);
	struct tandem_controller_pair pair = etcd_pair(), foreign = etcd_pair();
	etcd_start(&cluster, 1, "http", NULL);
	etcd_start(&other, 1, "http", NULL);
	etcd_pair_add(&pair, cluster.urls[0]);
	etcd_pair_add(&pair, other.urls[0]);
	etcd_client_open(&client, "a", &pair);
	etcd_read(&client);
	cr_assert(etcd_cas(&client, &nothing, &first)->type == TANDEM_EVENT_CAS_WON);
	carry_record();
	etcd_kill(&cluster, 0);
	cr_expect(etcd_read(&client)->type == TANDEM_EVENT_READ_FAILED);
	cr_expect(strstr(client.last.error.detail, "is of cluster") != NULL, "%s",
	          client.last.error.detail);
	cr_expect(etcd_cas(&client, &first, &second)->type == TANDEM_EVENT_CAS_FAILED, "%s",
	          client.last.error.detail);
	etcd_pair_add(&foreign, other.urls[0]);
	etcd_client_open(&rival, "b", &foreign);
	cr_expect(etcd_read(&rival)->type == TANDEM_EVENT_READ_FAILED);
	cr_expect(strstr(rival.last.error.detail, "another etcd cluster") != NULL, "%s",
	          rival.last.error.detail);
}

Test(etcd, endpoints_that_are_down_are_a_failure_at_once_with_each_reason)
{
	struct tandem_controller_pair pair = etcd_pair();
	struct tandem_record first = etcd_record(1, 10);
	char urls[2][64], *mark;
	for (unsigned i = 0; i < 2; i++) {
		snprintf(urls[i], sizeof(urls[i]), "http://127.0.0.1:%u", etcd_free_port());
		etcd_pair_add(&pair, urls[i]);
	}
	etcd_client_open(&client, "a", &pair);
	cr_expect(etcd_read(&client)->type == TANDEM_EVENT_READ_FAILED);
	mark = strstr(client.last.error.detail, urls[0] + 7);
	cr_expect(mark && strstr(mark, urls[1] + 7), "%s", client.last.error.detail);
	cr_expect(etcd_cas(&client, &nothing, &first)->type == TANDEM_EVENT_CAS_FAILED);
}

Test(etcd, endpoints_that_go_down_leave_no_doubt_about_what_was_never_sent)
{
	struct tandem_record first = etcd_record(1, 10);
	open_direct();
	etcd_read(&client);
	etcd_kill(&cluster, 0);
	cr_expect(etcd_cas(&client, &nothing, &first)->type == TANDEM_EVENT_CAS_FAILED, "%s",
	          client.last.error.detail);
}

static void expect_nothing_but_failure(const char *words, size_t length)
{
	struct tandem_record first = etcd_record(1, 10);
	proxy_babble(proxy, words, length);
	cr_expect(etcd_read(&client)->type == TANDEM_EVENT_READ_FAILED, "%.40s", words);
	cr_expect(etcd_cas(&client, &nothing, &first)->type == TANDEM_EVENT_CAS_DOUBT, "%.40s",
	          words);
}

#define HEAD(length) "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n"

Test(etcd, a_server_that_is_none_decides_nothing)
{
	static const char *const words[] = {
	        "SSH-2.0-OpenSSH_9.2\r\n",
	        "HTTP/1.1 200 OK\r\n\r\n",
	        HEAD("2") "{}",
	        HEAD("4") "null",
	        HEAD("36") "{\"header\":{\"cluster_id\":\"7\"},\"x\":1}",
	        HEAD("99999999999") "{",
	        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 22\r\n\r\n{\"error\":\"no "
	        "leader\"}}",
	        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\n"
	        "Content-Length: 0\r\n\r\n",
	};
	static char flood[65536] = HEAD("60000");
	open_proxied(false, SHORT_NS);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		expect_nothing_but_failure(words[i], strlen(words[i]));
	memset(flood + strlen(flood), '[', 60000);
	expect_nothing_but_failure(flood, strlen(flood));
}

Test(etcd, a_key_that_holds_something_else_is_left_alone)
{
	open_direct();
	free(etcd_post(cluster.urls[0], "/v3/kv/put",
	               "{\"key\":\"dGFuZGVtL3Rlc3Qva3Y=\",\"value\":\"aGVsbG8=\"}"));
	cr_expect(etcd_read(&client)->type == TANDEM_EVENT_READ_FAILED);
	cr_expect(strstr(client.last.error.detail, "no record") != NULL, "%s",
	          client.last.error.detail);
}

Test(etcd, it_ends_in_the_middle_of_a_question)
{
	struct tandem_record first = etcd_record(1, 10);
	open_proxied(false, LONG_NS);
	proxy_set(proxy, PROXY_MUTE);
	etcd_ask_cas(&client, &nothing, &first);
	etcd_wait_until(something_was_swallowed, proxy, "the server did not answer");
	cr_expect(client.answer_count == 1);
}
