#include <criterion/criterion.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <tandem/clock.h>
#include <tandem/histogram.h>

#include "core/etcd.h"
#include "etcd_bed.h"
#include "shell/etcd_text.h"

/* Not a test: how long a CAS takes by the engine, and how long the same transaction takes when
 * libcurl alone sends it. etcd_latency prints both. */
#define ROUNDS 2000

static struct etcd_cluster cluster;
static struct etcd_client client;

static void end(void)
{
	etcd_client_close(&client);
	etcd_bed_end();
}

TestSuite(etcd_latency, .init = etcd_bed_begin, .fini = end, .timeout = 600);

static void show(const char *who, const struct tandem_histogram *spread)
{
	fprintf(stderr,
	        "%zu node%s, %s: p50 %.2f ms, p99 %.2f ms, max %.2f ms, %" PRIu64 " rounds\n",
	        cluster.count, cluster.count == 1 ? "" : "s", who,
	        (double)tandem_histogram_at(spread, 500) / TANDEM_NS_PER_MS,
	        (double)tandem_histogram_at(spread, 990) / TANDEM_NS_PER_MS,
	        (double)spread->max / TANDEM_NS_PER_MS, spread->count);
}

static size_t ignore(char *bytes, size_t size, size_t count, void *context)
{
	(void)bytes;
	(void)context;
	return size * count;
}

static void spell(uint64_t generation, char *ret_text)
{
	struct tandem_record old = etcd_record(generation - 1, 5), new = etcd_record(generation, 5);
	uint8_t old_bytes[TANDEM_ETCD_VALUE_BYTES], new_bytes[TANDEM_ETCD_VALUE_BYTES];
	if (generation > 1)
		tandem_etcd_value_encode(&old, 7, old_bytes);
	tandem_etcd_value_encode(&new, 7, new_bytes);
	tandem_etcd_spell_cas("bare", generation > 1 ? old_bytes : NULL, new_bytes, ret_text);
}

static void measure_bare(void)
{
	static struct tandem_histogram spread;
	char url[200], body[TANDEM_ETCD_REQUEST_BYTES];
	CURL *easy = curl_easy_init();
	snprintf(url, sizeof(url), "%s" TANDEM_ETCD_PATH, cluster.urls[0]);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		spell(i, body);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
		uint64_t start_ns = tandem_clock_now_ns();
		cr_assert(curl_easy_perform(easy) == CURLE_OK);
		tandem_histogram_add(&spread, tandem_clock_now_ns() - start_ns);
	}
	curl_easy_cleanup(easy);
	show("bare libcurl", &spread);
}

static void measure(size_t count)
{
	static struct tandem_histogram spread;
	struct tandem_controller_pair pair = etcd_pair();
	struct tandem_record old = {.generation = 0};
	etcd_start(&cluster, count, "http", NULL);
	measure_bare();
	etcd_pair_add(&pair, cluster.urls[0]);
	etcd_client_open(&client, "a", &pair);
	etcd_read(&client);
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		struct tandem_record new = etcd_record(i, 5);
		uint64_t start_ns = tandem_clock_now_ns();
		cr_assert(etcd_cas(&client, &old, &new)->type == TANDEM_EVENT_CAS_WON);
		tandem_histogram_add(&spread, tandem_clock_now_ns() - start_ns);
		old = new;
	}
	show("the engine", &spread);
}

Test(etcd_latency, one_node)
{
	measure(1);
}

Test(etcd_latency, three_nodes)
{
	measure(3);
}
