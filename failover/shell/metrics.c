#include "shell/metrics.h"

#include <event2/buffer.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tandem/clock.h>
#include <tandem/progress.h>
#include <tandem/stats_page.h>

#include "shell/headline.h"
#include "shell/tally.h"

/* What is written now. */
struct tandem_scrape {
	struct evbuffer *buffer;
	const struct tandem_metric *metric;
	struct tandem_pair *pair;
	const struct tandem_machine *machine;
	const struct tandem_stats *stats; /* of the program that is attached, or NULL */
	uint64_t now_ns;
};

const char *tandem_metric_type_name(enum tandem_metric_type type)
{
	static const char *const names[] = {[TANDEM_METRIC_GAUGE] = "gauge",
	                                    [TANDEM_METRIC_COUNTER] = "counter",
	                                    [TANDEM_METRIC_HISTOGRAM] = "histogram",
	                                    [TANDEM_METRIC_SUMMARY] = "summary"};
	return names[type];
}

/* ---- samples ---- */

/* Names of pairs and nodes come from the configuration, which takes only harmless ones. `labels`
 * is ",name=\"value\"" or "". */
static void write_start(struct tandem_scrape *scrape, const char *suffix, const char *labels)
{
	evbuffer_add_printf(scrape->buffer, "%s%s{pair=\"%s\",node=\"%s\"%s} ",
	                    scrape->metric->name, suffix, scrape->machine->config.pair.name,
	                    scrape->machine->config.node, labels);
}

static void write_count(struct tandem_scrape *scrape, const char *suffix, const char *labels,
                        uint64_t value)
{
	write_start(scrape, suffix, labels);
	evbuffer_add_printf(scrape->buffer, "%" PRIu64 "\n", value);
}

static void write_span(struct tandem_scrape *scrape, const char *suffix, const char *labels,
                       uint64_t value_ns)
{
	write_start(scrape, suffix, labels);
	evbuffer_add_printf(scrape->buffer, "%" PRIu64 ".%09" PRIu64 "\n",
	                    value_ns / TANDEM_NS_PER_S, value_ns % TANDEM_NS_PER_S);
}

static void write_value(struct tandem_scrape *scrape, uint64_t value)
{
	write_count(scrape, "", "", value);
}

static void TANDEM_PRINTF(3, 4) spell(char *ret_labels, size_t size, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(ret_labels, size, format, arguments);
	va_end(arguments);
}

#define LABELS_BYTES 128

static void write_choice(struct tandem_scrape *scrape, const char *label, const char *value,
                         bool is_it)
{
	char labels[LABELS_BYTES];
	spell(labels, sizeof(labels), ",%s=\"%s\"", label, value);
	write_count(scrape, "", labels, is_it);
}

/* An age is told while something waits and 0 while nothing does. */
static void write_since(struct tandem_scrape *scrape, uint64_t since_ns)
{
	bool is_on = since_ns != 0 && since_ns < scrape->now_ns;
	write_span(scrape, "", "", is_on ? scrape->now_ns - since_ns : 0);
}

/* ---- of the decision ---- */

static void write_role(struct tandem_scrape *scrape)
{
	for (enum tandem_state state = 0; state < TANDEM_STATE_COUNT; state++)
		write_choice(scrape, "role", tandem_state_name(state),
		             scrape->machine->state == state);
}

static void write_mode(struct tandem_scrape *scrape)
{
	const struct tandem_record *record = &scrape->machine->view.record;
	write_choice(scrape, "mode", "PAIR", record->generation > 0 && record->is_pair);
	write_choice(scrape, "mode", "SOLO",
	             record->generation > 0 && !record->is_pair && !record->is_left);
	write_choice(scrape, "mode", "LEFT", record->generation > 0 && record->is_left);
}

static void write_generation(struct tandem_scrape *scrape)
{
	write_value(scrape, scrape->machine->view.record.generation);
}

static void write_protected(struct tandem_scrape *scrape)
{
	write_value(scrape, tandem_headline_of(scrape->machine, scrape->now_ns) ==
	                            TANDEM_HEADLINE_PROTECTED);
}

static void write_alarm(struct tandem_scrape *scrape)
{
	for (enum tandem_alarm alarm = 0; alarm < TANDEM_ALARM_COUNT; alarm++)
		write_choice(scrape, "alarm", tandem_alarm_name(alarm),
		             (scrape->machine->alarms & UINT32_C(1) << alarm) != 0);
}

static void write_failovers(struct tandem_scrape *scrape)
{
	char labels[LABELS_BYTES];
	for (enum tandem_tally_cause cause = 0; cause < TANDEM_TALLY_CAUSE_COUNT; cause++) {
		spell(labels, sizeof(labels), ",reason=\"%s\"", tandem_tally_cause_text(cause));
		write_count(scrape, "", labels, scrape->pair->tally.take_overs[cause]);
	}
}

static void write_failover_duration(struct tandem_scrape *scrape)
{
	const struct tandem_failover_times *times = &scrape->machine->times;
	if (times->life_ns != 0 && times->activated_ns >= times->life_ns)
		write_span(scrape, "", "", times->activated_ns - times->life_ns);
}

static void write_failover_parts(struct tandem_scrape *scrape)
{
	const struct tandem_failover_times *times = &scrape->machine->times;
	const struct {
		const char *part;
		uint64_t from_ns, to_ns;
	} rows[] = {{"detect", times->life_ns, times->suspected_ns},
	            {"decide", times->suspected_ns, times->decided_ns},
	            {"fence", times->decided_ns, times->fenced_ns},
	            {"activate", times->fenced_ns, times->activated_ns}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char labels[LABELS_BYTES];
		spell(labels, sizeof(labels), ",part=\"%s\"", rows[i].part);
		if (rows[i].from_ns != 0 && rows[i].to_ns >= rows[i].from_ns)
			write_span(scrape, "", labels, rows[i].to_ns - rows[i].from_ns);
	}
}

static void write_self_fence(struct tandem_scrape *scrape)
{
	const struct tandem_plane *program = &scrape->machine->program;
	write_value(scrape, program->connection != 0 && program->has_lease);
}

static void write_hooks(struct tandem_scrape *scrape)
{
	static const char *const results[TANDEM_HOOK_RESULT_COUNT] = {
	        [TANDEM_HOOK_DONE] = "done", [TANDEM_HOOK_FAILED] = "failed"};
	for (enum tandem_hook hook = 0; hook < TANDEM_HOOK_COUNT; hook++) {
		for (size_t result = 0; result < TANDEM_HOOK_RESULT_COUNT; result++) {
			char labels[LABELS_BYTES];
			spell(labels, sizeof(labels), ",hook=\"%s\",result=\"%s\"",
			      tandem_hook_name(hook), results[result]);
			write_count(scrape, "", labels, scrape->pair->hooks.counts[hook][result]);
		}
	}
}

/* ---- of the links, the arbiter and this node ---- */

static void write_link_up(struct tandem_scrape *scrape)
{
	char labels[LABELS_BYTES];
	for (size_t link = 0; link < scrape->machine->config.pair.link_count; link++) {
		spell(labels, sizeof(labels), ",link=\"%zu\"", link);
		write_count(scrape, "", labels,
		            tandem_detector_link_is_up(&scrape->machine->detector, link,
		                                       scrape->now_ns));
	}
}

static void write_gaps_of(struct tandem_scrape *scrape, size_t link)
{
	static const unsigned bounds_ms[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000};
	char labels[LABELS_BYTES];
	struct tandem_histogram gaps_ns;
	tandem_links_gaps(scrape->pair, link, &gaps_ns);
	for (size_t i = 0; i < sizeof(bounds_ms) / sizeof(bounds_ms[0]); i++) {
		spell(labels, sizeof(labels), ",link=\"%zu\",le=\"%u.%03u\"", link,
		      bounds_ms[i] / 1000, bounds_ms[i] % 1000);
		write_count(scrape, "_bucket", labels,
		            tandem_histogram_below(&gaps_ns, bounds_ms[i] * TANDEM_NS_PER_MS));
	}
	spell(labels, sizeof(labels), ",link=\"%zu\",le=\"+Inf\"", link);
	write_count(scrape, "_bucket", labels, gaps_ns.count);
	spell(labels, sizeof(labels), ",link=\"%zu\"", link);
	write_span(scrape, "_sum", labels, gaps_ns.sum);
	write_count(scrape, "_count", labels, gaps_ns.count);
}

static void write_gaps(struct tandem_scrape *scrape)
{
	for (size_t link = 0; link < scrape->machine->config.pair.link_count; link++)
		write_gaps_of(scrape, link);
}

static void write_refused(struct tandem_scrape *scrape)
{
	write_value(scrape, tandem_links_refused_count(scrape->pair));
}

static void write_unscheduled(struct tandem_scrape *scrape)
{
	write_span(scrape, "", "", scrape->pair->tally.unscheduled_max_ns);
}

static void write_real_time(struct tandem_scrape *scrape)
{
	write_value(scrape, tandem_controller_real_time_refusal(scrape->pair->controller)[0] == 0);
}

static void write_arbiter_up(struct tandem_scrape *scrape)
{
	const struct tandem_machine *machine = scrape->machine;
	bool is_lost = machine->alarms & UINT32_C(1) << TANDEM_ALARM_ARBITER_UNREACHABLE;
	write_value(scrape, machine->view.is_known && !is_lost);
}

/* ---- of the program that leads here ---- */

static void write_session_up(struct tandem_scrape *scrape)
{
	const struct tandem_machine *machine = scrape->machine;
	write_value(scrape, machine->program.has_session || machine->standby.has_session);
}

static void write_peer_process(struct tandem_scrape *scrape)
{
	uint64_t beat_ns;
	enum tandem_peer_beat now =
	        tandem_machine_peer_beat(scrape->machine, scrape->now_ns, &beat_ns);
	for (enum tandem_peer_beat beat = 0; beat < TANDEM_PEER_BEAT_COUNT; beat++)
		write_choice(scrape, "process", tandem_peer_beat_text(beat), beat == now);
}

static void write_epoch(struct tandem_scrape *scrape)
{
	const struct tandem_machine *machine = scrape->machine;
	bool is_program = machine->program.connection != 0;
	write_value(scrape, is_program ? machine->program.epoch : machine->standby.epoch);
}

static void write_committed(struct tandem_scrape *scrape)
{
	if (scrape->stats)
		write_value(scrape, scrape->stats->epochs_committed);
}

static void write_aborted(struct tandem_scrape *scrape)
{
	if (scrape->stats)
		write_value(scrape, scrape->stats->epochs_aborted);
}

static void write_behind(struct tandem_scrape *scrape)
{
	if (scrape->stats)
		write_since(scrape, scrape->stats->behind_since_ns);
}

static void write_held(struct tandem_scrape *scrape)
{
	if (scrape->stats)
		write_since(scrape, scrape->stats->held_since_ns);
}

static void write_commit_age(struct tandem_scrape *scrape)
{
	if (scrape->stats && scrape->stats->committed_ns != 0)
		write_since(scrape, scrape->stats->committed_ns);
}

static void write_pushed(struct tandem_scrape *scrape)
{
	if (scrape->stats)
		write_value(scrape, scrape->stats->bytes_pushed);
}

static void write_resync(struct tandem_scrape *scrape)
{
	if (!scrape->stats)
		return;
	uint64_t total = scrape->stats->copy_bytes_total, done = scrape->stats->copy_bytes_done;
	bool is_over = scrape->stats->copy_since_ns == 0 || done > total;
	write_value(scrape, is_over ? 0 : total - done);
}

static void write_resync_rate(struct tandem_scrape *scrape)
{
	if (scrape->stats)
		write_value(scrape, scrape->stats->copy_since_ns == 0
		                            ? 0
		                            : scrape->stats->copy_bytes_per_s);
}

static void write_resync_equal(struct tandem_scrape *scrape)
{
	if (scrape->stats)
		write_value(scrape, scrape->stats->copy_bytes_equal);
}

static void write_resync_left(struct tandem_scrape *scrape)
{
	const struct tandem_stats *stats = scrape->stats;
	if (!stats || stats->copy_since_ns == 0)
		return;
	uint64_t left_ns = tandem_progress_left_ns(stats->copy_bytes_done, stats->copy_bytes_total,
	                                           stats->copy_bytes_per_s);
	if (left_ns != UINT64_MAX)
		write_span(scrape, "", "", left_ns);
}

static void write_spread(struct tandem_scrape *scrape, const struct tandem_histogram *spread_ns)
{
	write_span(scrape, "", ",quantile=\"0.5\"", tandem_histogram_at(spread_ns, 500));
	write_span(scrape, "", ",quantile=\"0.99\"", tandem_histogram_at(spread_ns, 990));
	write_span(scrape, "", ",quantile=\"1\"", spread_ns->max);
	write_span(scrape, "_sum", "", spread_ns->sum);
	write_count(scrape, "_count", "", spread_ns->count);
}

static void write_arbiter_took(struct tandem_scrape *scrape)
{
	write_spread(scrape, &tandem_arbiter_report(scrape->pair->arbiter)->round_trips_ns);
}

static void write_fences(struct tandem_scrape *scrape)
{
	static const char *const results[TANDEM_FENCE_RESULT_COUNT] = {
#define X(name, text) [TANDEM_FENCE_##name] = (text),
	        TANDEM_FENCE_RESULT_TABLE(X)
#undef X
	};
	for (size_t result = 0; result < TANDEM_FENCE_RESULT_COUNT; result++) {
		char labels[LABELS_BYTES];
		spell(labels, sizeof(labels), ",result=\"%s\"", results[result]);
		write_count(scrape, "", labels,
		            tandem_arbiter_report(scrape->pair->arbiter)->fence_counts[result]);
	}
}

static void write_pause(struct tandem_scrape *scrape)
{
	if (scrape->stats)
		write_spread(scrape, &scrape->stats->pause_ns);
}

static void write_commit(struct tandem_scrape *scrape)
{
	if (scrape->stats)
		write_spread(scrape, &scrape->stats->commit_ns);
}

static void write_channels_up(struct tandem_scrape *scrape)
{
	uint64_t up_count = 0;
	if (!scrape->stats)
		return;
	for (unsigned i = 0; i < scrape->stats->channel_count && i < TANDEM_STATS_CHANNELS_MAX; i++)
		up_count += strcmp(tandem_channel_stats_state(scrape->stats->channels[i].state),
		                   "up") == 0;
	write_value(scrape, up_count);
}

/* ---- the table ---- */

#define GAUGE     TANDEM_METRIC_GAUGE
#define COUNTER   TANDEM_METRIC_COUNTER
#define HISTOGRAM TANDEM_METRIC_HISTOGRAM
#define SUMMARY   TANDEM_METRIC_SUMMARY

/* clang-format off */
static const struct tandem_metric metrics[] = {
	{"tandem_protected", GAUGE, "", "", "1: a failover now would lose nothing; what the first line of status says", write_protected},
	{"tandem_role", GAUGE, "role", "", "1 for the state of the pair on this node, 0 for the others", write_role},
	{"tandem_mode", GAUGE, "mode", "", "1 for what the register says, PAIR, SOLO or LEFT (nobody leads: the program goes on unprotected); all 0 when it says nothing yet", write_mode},
	{"tandem_generation", GAUGE, "", "", "Generation of the register", write_generation},
	{"tandem_alarm", GAUGE, "alarm", "", "1 for each alarm that is raised", write_alarm},
	{"tandem_epoch", GAUGE, "", "", "Number of the last committed epoch that the attached data plane knows", write_epoch},
	{"tandem_epoch_committed_total", COUNTER, "", "", "Epochs committed in the life of the program that leads here", write_committed},
	{"tandem_epoch_aborted_total", COUNTER, "", "", "Epochs given up in the life of the program that leads here", write_aborted},
	{"tandem_epoch_lag_seconds", GAUGE, "", "seconds", "Age of the oldest output that waits for its commit, 0 when none waits: how far the copy is behind", write_behind},
	{"tandem_output_held_seconds", GAUGE, "", "seconds", "Age of the oldest output that the gate holds, replies to reads too", write_held},
	{"tandem_commit_age_seconds", GAUGE, "", "seconds", "Time since the last commit, however little there was to commit", write_commit_age},
	{"tandem_commit_seconds", SUMMARY, "", "seconds", "From the seal of an epoch to its commit; the quantiles are of the program's whole life", write_commit},
	{"tandem_pause_seconds", SUMMARY, "", "seconds", "For how long a checkpoint held the program; the quantiles are of its whole life", write_pause},
	{"tandem_pushed_bytes_total", COUNTER, "", "bytes", "Page data pushed to the other node", write_pushed},
	{"tandem_resync_bytes_remaining", GAUGE, "", "bytes", "What a copy to the other node still has to push, as last seen", write_resync},
	{"tandem_resync_bytes_per_second", GAUGE, "", "bytes", "How fast that copy goes, by its last seconds; 0 when none is under way", write_resync_rate},
	{"tandem_resync_left_seconds", GAUGE, "", "seconds", "How long that copy still takes at this rate; absent when nobody can tell, or none is under way", write_resync_left},
	{"tandem_resync_bytes_equal", GAUGE, "", "bytes", "What the other node held already and did not have to be pushed, in the copy under way or the last one", write_resync_equal},
	{"tandem_channels_up", GAUGE, "", "", "Data channels that carry data", write_channels_up},
	{"tandem_session_up", GAUGE, "", "", "1: the data planes of the two nodes have a session", write_session_up},
	{"tandem_peer_process", GAUGE, "process", "", "1 for what the peer's counter says of its process, read from its memory: lives, hung, unknown; 0 for the others", write_peer_process},
	{"tandem_link_up", GAUGE, "link", "", "1: heartbeats arrive on the link", write_link_up},
	{"tandem_heartbeat_gap_seconds", HISTOGRAM, "link", "seconds", "Between heartbeats that arrived on the link", write_gaps},
	{"tandem_heartbeat_refused_total", COUNTER, "", "", "Heartbeats that were damaged, old, of another key or address", write_refused},
	{"tandem_self_not_scheduled_seconds_max", GAUGE, "", "seconds", "The longest time that this node's own controller did not run for half a heartbeat window or more", write_unscheduled},
	{"tandem_realtime", GAUGE, "", "", "1: the heartbeats' thread has real-time priority", write_real_time},
	{"tandem_arbiter_up", GAUGE, "", "", "1: the arbiter answers", write_arbiter_up},
	{"tandem_arbiter_rtt_seconds", SUMMARY, "", "seconds", "How long the arbiter's answers took, without fencing; the quantiles are of the controller's whole life", write_arbiter_took},
	{"tandem_fence_attempts_total", COUNTER, "result", "", "Runs of fence agents, and fencings that the operator acknowledged", write_fences},
	{"tandem_selffence_armed", GAUGE, "", "", "1: the program is ended by a timer of its own when it may no longer lead; 0 also where output is gated and none is needed", write_self_fence},
	{"tandem_failover_total", COUNTER, "reason", "", "Take-overs by this node", write_failovers},
	{"tandem_failover_duration_seconds", GAUGE, "", "seconds", "The last take-over by this node, from the last sign of life to the ready program", write_failover_duration},
	{"tandem_failover_part_seconds", GAUGE, "part", "seconds", "Its parts: detect, decide, fence, activate", write_failover_parts},
	{"tandem_hook_runs_total", COUNTER, "hook,result", "", "Hooks that ended, done or failed", write_hooks},
};
/* clang-format on */

const struct tandem_metric *tandem_metrics(size_t *ret_count)
{
	*ret_count = sizeof(metrics) / sizeof(metrics[0]);
	return metrics;
}

/* ---- all of them ---- */

static void open_page(struct tandem_scrape *scrape)
{
	const struct tandem_machine *machine = scrape->machine;
	const char *directory = scrape->pair->controller->options.run_directory;
	scrape->stats = NULL;
	if (machine->program.connection == 0 ||
	    tandem_stats_open(directory, machine->config.pair.name, &scrape->stats, NULL) != 0)
		return;
	if (scrape->stats->incarnation == machine->program.incarnation)
		return;
	tandem_stats_close(scrape->stats);
	scrape->stats = NULL;
}

static void write_metric(struct tandem_scrape *scrapes, size_t count,
                         const struct tandem_metric *metric)
{
	evbuffer_add_printf(scrapes[0].buffer, "# HELP %s %s.\n# TYPE %s %s\n", metric->name,
	                    metric->meaning, metric->name, tandem_metric_type_name(metric->type));
	for (size_t i = 0; i < count; i++) {
		scrapes[i].metric = metric;
		metric->write(&scrapes[i]);
	}
}

void tandem_metrics_write(struct tandem_controller *controller, struct evbuffer *buffer)
{
	struct tandem_scrape scrapes[TANDEM_CONTROLLER_PAIRS_MAX];
	uint64_t now_ns = tandem_clock_now_ns();
	for (size_t i = 0; i < controller->pair_count; i++) {
		scrapes[i] = (struct tandem_scrape){.buffer = buffer,
		                                    .pair = &controller->pairs[i],
		                                    .machine = &controller->pairs[i].machine,
		                                    .now_ns = now_ns};
		open_page(&scrapes[i]);
	}
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		write_metric(scrapes, controller->pair_count, &metrics[i]);
	for (size_t i = 0; i < controller->pair_count; i++)
		tandem_stats_close(scrapes[i].stats);
}
