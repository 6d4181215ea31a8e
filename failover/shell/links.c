#include "shell/service.h"

#include <stdio.h>
#include <string.h>
#include <tandem/clock.h>

#include "shell/pulse.h"

/* The loop's side of the heartbeats: what the detector's thread heard becomes events. */

static size_t index_of(const struct tandem_pair *pair)
{
	return (size_t)(pair - pair->controller->pairs);
}

/* What the peer wrote by a word or after fencing is this node's register too. */
static void adopt(struct tandem_pair *pair, const struct tandem_record *record)
{
	if (tandem_machine_adopts(&pair->machine, record))
		tandem_arbiter_adopt(pair->arbiter, record);
}

void tandem_links_take(struct tandem_pair *pair, struct tandem_links_events *ret_events)
{
	struct tandem_pulse_news news;
	tandem_pulse_take(pair->controller->pulse, index_of(pair), &news);
	ret_events->count = 0;
	ret_events->since_ns = news.since_ns;
	ret_events->deaf_ns = news.deaf_ns;
	if (news.has_statement && news.statement.record.generation > 0)
		adopt(pair, &news.statement.record);
	for (size_t i = 0; i < pair->machine.config.pair.link_count; i++) {
		if (news.heard_ns[i] == 0)
			continue;
		ret_events->list[ret_events->count++] =
		        (struct tandem_event){.type = TANDEM_EVENT_HEARTBEAT,
		                              .link = i,
		                              .heard_ns = news.heard_ns[i],
		                              .has_news = news.has_statement,
		                              .statement = news.statement};
		news.has_statement = false;
	}
}

void tandem_links_publish(struct tandem_pair *pair, bool is_urgent)
{
	struct tandem_statement statement;
	tandem_machine_statement(&pair->machine, tandem_clock_now_ns(), &statement);
	tandem_pulse_publish(pair->controller->pulse, index_of(pair), &statement, is_urgent);
}

static void complain(struct tandem_controller *controller, const char *pair,
                     const struct tandem_pulse_refused *refused, uint64_t *told_count)
{
	char line[200];
	if (refused->count == *told_count)
		return;
	*told_count = refused->count;
	snprintf(line, sizeof(line), "pair %s: a heartbeat was refused: %s", pair,
	         tandem_pulse_refusal_text(refused->last));
	tandem_service_complain(controller, line);
}

void tandem_links_complain(struct tandem_pair *pair)
{
	struct tandem_controller *controller = pair->controller;
	struct tandem_pulse_refused refused =
	        tandem_pulse_refused(controller->pulse, index_of(pair));
	struct tandem_pulse_refused stray =
	        tandem_pulse_refused(controller->pulse, controller->pair_count);
	complain(controller, pair->machine.config.pair.name, &refused, &pair->refused_told_count);
	complain(controller, "?", &stray, &controller->stray_told_count);
}

uint64_t tandem_links_refused_count(const struct tandem_pair *pair)
{
	return tandem_pulse_refused(pair->controller->pulse, index_of(pair)).count;
}

void tandem_links_gaps(const struct tandem_pair *pair, size_t link,
                       struct tandem_histogram *ret_gaps_ns)
{
	tandem_pulse_gaps(pair->controller->pulse, index_of(pair), link, ret_gaps_ns);
}

const char *tandem_controller_real_time_refusal(struct tandem_controller *controller)
{
	if (tandem_pulse_is_real_time(controller->pulse))
		return "";
	snprintf(controller->real_time_refusal, sizeof(controller->real_time_refusal),
	         "SCHED_RR priority %d was refused (%s): it needs CAP_SYS_NICE or LimitRTPRIO=%d",
	         TANDEM_PULSE_PRIORITY,
	         strerrordesc_np(tandem_pulse_real_time_errno(controller->pulse)),
	         TANDEM_PULSE_PRIORITY);
	return controller->real_time_refusal;
}

static void on_news(evutil_socket_t fd, short what, void *context)
{
	struct tandem_controller *controller = context;
	(void)fd;
	(void)what;
	tandem_pulse_rest(controller->pulse);
	for (size_t i = 0; i < controller->pair_count; i++)
		tandem_pair_listen(&controller->pairs[i]);
}

int tandem_links_open(struct tandem_controller *controller,
                      const struct tandem_controller_options *options,
                      struct tandem_error *reterr_error)
{
	int status =
	        tandem_pulse_new(options, controller->instance, &controller->pulse, reterr_error);
	if (status != 0)
		return status;
	controller->news = event_new(controller->base, tandem_pulse_fd(controller->pulse),
	                             EV_READ | EV_PERSIST, on_news, controller);
	if (!controller->news || event_add(controller->news, NULL) != 0)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "event", "heartbeats");
	return tandem_pulse_start(controller->pulse, reterr_error);
}

void tandem_links_close(struct tandem_controller *controller)
{
	if (controller->news)
		event_free(controller->news);
	tandem_pulse_free(controller->pulse);
}
