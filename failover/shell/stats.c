#include "shell/status.h"

#include <stdio.h>
#include <tandem/clock.h>
#include <tandem/progress.h>
#include <tandem/stats_page.h>

static void add_times(struct json_object *object, const char *key,
                      const struct tandem_histogram *histogram)
{
	static const struct {
		const char *key;
		unsigned per_mille;
	} points[] = {{"p50", 500}, {"p99", 990}};
	struct json_object *times = json_object_new_object();
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		json_object_object_add(
		        times, points[i].key,
		        tandem_status_number(tandem_histogram_at(histogram, points[i].per_mille),
		                             TANDEM_NS_PER_US));
	json_object_object_add(times, "max",
	                       tandem_status_number(histogram->max, TANDEM_NS_PER_US));
	json_object_object_add(times, "count", json_object_new_uint64(histogram->count));
	json_object_object_add(object, key, times);
}

/* The page is written by the protected program: its texts may have no end. */
static void add_text(struct json_object *object, const char *key, const char *text, size_t size)
{
	char copy[256];
	snprintf(copy, sizeof(copy), "%.*s", (int)size, text);
	json_object_object_add(object, key, json_object_new_string(copy));
}

static void add_counts(struct json_object *object, const struct tandem_stats *stats)
{
	const struct {
		const char *key;
		uint64_t value;
	} rows[] = {
	        {"process_id", stats->process_id},
	        {"channel_count", stats->channel_count},
	        {"generation", stats->generation},
	        {"epochs_committed", stats->epochs_committed},
	        {"epochs_aborted", stats->epochs_aborted},
	        {"epoch_committed", stats->epoch_committed},
	        {"pages_pushed", stats->pages_pushed},
	        {"zero_pages", stats->zero_pages},
	        {"bytes_pushed", stats->bytes_pushed},
	        {"copy_bytes_total", stats->copy_bytes_total},
	        {"copy_bytes_done", stats->copy_bytes_done},
	        {"copy_bytes_equal", stats->copy_bytes_equal},
	        {"copy_held_us", stats->copy_held_ns / TANDEM_NS_PER_US},
	        {"pages_staged", stats->pages_staged},
	        {"stages_short", stats->stages_short},
	        {"pages_beside", stats->pages_beside},
	        {"pages_vain", stats->pages_vain},
	        {"pauses_misfit", stats->pauses_misfit},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		json_object_object_add(object, rows[i].key, json_object_new_uint64(rows[i].value));
}

/* null: never, or nothing is pending. The program may be gone and its page old: ages count from
 * now. */
static void add_since(struct json_object *object, const char *key, uint64_t at_ns, uint64_t now_ns)
{
	struct json_object *age = NULL;
	if (at_ns != 0)
		age = tandem_status_number(now_ns > at_ns ? now_ns - at_ns : 0, TANDEM_NS_PER_MS);
	json_object_object_add(object, key, age);
}

static struct json_object *describe_channel(const struct tandem_channel_stats *channel,
                                            unsigned number, uint64_t now_ns)
{
	struct json_object *object = json_object_new_object();
	const char *state = tandem_channel_stats_state(channel->state);
	const struct {
		const char *key;
		uint64_t value;
	} rows[] = {{"channel", number},
	            {"rail", channel->rail},
	            {"bytes", channel->bytes},
	            {"in_flight", channel->inflight_count},
	            {"times_lost", channel->lost_count}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		json_object_object_add(object, rows[i].key, json_object_new_uint64(rows[i].value));
	json_object_object_add(object, "state", json_object_new_string(state));
	add_since(object, "oldest_pending_ms", channel->oldest_posted_ns, now_ns);
	if (channel->first_error[0] != '\0')
		add_text(object, "first_error", channel->first_error, sizeof(channel->first_error));
	else
		json_object_object_add(object, "first_error", NULL);
	return object;
}

struct json_object *tandem_status_of_channels(const char *directory, const char *pair)
{
	const struct tandem_stats *stats = NULL;
	struct json_object *list = json_object_new_array();
	uint64_t now_ns = tandem_clock_now_ns();
	if (tandem_stats_open(directory, pair, &stats, NULL) != 0)
		return list;
	unsigned count = stats->channel_count;
	for (unsigned i = 0; i < count && i < TANDEM_STATS_CHANNELS_MAX; i++)
		json_object_array_add(list, describe_channel(&stats->channels[i], i, now_ns));
	tandem_stats_close(stats);
	return list;
}

struct json_object *tandem_status_of_stats(const char *directory, const char *pair)
{
	const struct tandem_stats *stats = NULL;
	if (tandem_stats_open(directory, pair, &stats, NULL) != 0)
		return NULL;
	struct json_object *object = json_object_new_object();
	add_text(object, "transport", stats->transport, sizeof(stats->transport));
	add_text(object, "transport_detail", stats->transport_detail,
	         sizeof(stats->transport_detail));
	add_text(object, "tracker", stats->tracker, sizeof(stats->tracker));
	add_counts(object, stats);
	json_object_object_add(object, "pace",
	                       json_object_new_string(tandem_pace_name(stats->pace)));
	json_object_object_add(object, "capture",
	                       json_object_new_string(stats->is_staging ? "stage" : "stop"));
	json_object_object_add(object, "incarnation", tandem_status_name(stats->incarnation));
	json_object_object_add(
	        object, "phase",
	        json_object_new_string(tandem_phase_name((enum tandem_phase)stats->phase)));
	uint64_t now_ns = tandem_clock_now_ns();
	add_since(object, "since_commit_ms", stats->committed_ns, now_ns);
	add_since(object, "output_held_ms", stats->held_since_ns, now_ns);
	add_since(object, "behind_ms", stats->behind_since_ns, now_ns);
	json_object_object_add(object, "is_pair", json_object_new_boolean(stats->is_pair != 0));
	add_times(object, "pause_us", &stats->pause_ns);
	add_times(object, "scan_us", &stats->scan_ns);
	add_times(object, "stage_us", &stats->stage_ns);
	add_times(object, "slowed_us", &stats->slowed_ns);
	add_times(object, "apply_wait_us", &stats->apply_wait_ns);
	add_times(object, "push_us", &stats->push_ns);
	add_times(object, "commit_us", &stats->commit_ns);
	add_times(object, "apply_us", &stats->apply_ns);
	tandem_stats_close(stats);
	return object;
}

void tandem_status_facts(const struct tandem_pair *pair, uint64_t now_ns,
                         struct tandem_headline_facts *ret_facts)
{
	const struct tandem_machine *machine = &pair->machine;
	const struct tandem_stats *stats = NULL;
	*ret_facts = (struct tandem_headline_facts){.has_page = false};
	if (machine->program.connection == 0 ||
	    tandem_stats_open(pair->controller->options.run_directory, machine->config.pair.name,
	                      &stats, NULL) != 0)
		return;
	uint64_t since_ns = stats->behind_since_ns;
	if (stats->incarnation == machine->program.incarnation)
		*ret_facts = (struct tandem_headline_facts){
		        .has_page = true,
		        .behind_ns = since_ns != 0 && since_ns < now_ns ? now_ns - since_ns : 0,
		        .is_copying = stats->copy_since_ns != 0,
		        .is_comparing = stats->copy_is_comparing != 0,
		        .copy_bytes_total = stats->copy_bytes_total,
		        .copy_bytes_done = stats->copy_bytes_done,
		        .copy_bytes_equal = stats->copy_bytes_equal,
		        .copy_bytes_per_s = stats->copy_bytes_per_s};
	tandem_stats_close(stats);
}

struct json_object *tandem_status_of_copy(const struct tandem_headline_facts *facts)
{
	uint64_t left_ns = tandem_progress_left_ns(facts->copy_bytes_done, facts->copy_bytes_total,
	                                           facts->copy_bytes_per_s);
	const struct {
		const char *key;
		uint64_t value;
	} rows[] = {{"bytes_total", facts->copy_bytes_total},
	            {"bytes_done", facts->copy_bytes_done},
	            {"bytes_equal", facts->copy_bytes_equal},
	            {"bytes_per_s", facts->copy_bytes_per_s},
	            {"percent",
	             tandem_progress_percent(facts->copy_bytes_done, facts->copy_bytes_total)}};
	if (!facts->is_copying)
		return NULL;
	struct json_object *object = json_object_new_object();
	json_object_object_add(object, "stage",
	                       json_object_new_string(facts->is_comparing ? "compare" : "copy"));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		json_object_object_add(object, rows[i].key, json_object_new_uint64(rows[i].value));
	json_object_object_add(
	        object, "left_ms",
	        left_ns == UINT64_MAX ? NULL : tandem_status_number(left_ns, TANDEM_NS_PER_MS));
	return object;
}
