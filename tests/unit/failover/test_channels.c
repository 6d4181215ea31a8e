#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <tandem/clock.h>
#include <tandem/stats_page.h>

#include "directory.h"
#include "shell/status.h"

static const char *text_at(struct json_object *list, size_t index, const char *key)
{
	struct json_object *channel = json_object_array_get_idx(list, index);
	return json_object_get_string(json_object_object_get(channel, key));
}

/* The page is written by a program that may be of any mood. */
static void fill(struct tandem_stats *stats)
{
	stats->channel_count = 3;
	stats->channels[0].state = 2;
	stats->channels[0].bytes = 4096;
	stats->channels[0].inflight_count = 5;
	stats->channels[0].oldest_posted_ns = tandem_clock_now_ns() - 30 * TANDEM_NS_PER_MS;
	stats->channels[1].state = 3;
	stats->channels[1].rail = 1;
	stats->channels[1].lost_count = 2;
	snprintf(stats->channels[1].first_error, sizeof(stats->channels[1].first_error),
	         "connection reset by the peer");
	stats->channels[2].state = 77;
	memset(stats->channels[2].first_error, 'x', sizeof(stats->channels[2].first_error));
}

Test(channels, as_the_page_says)
{
	char directory[DIRECTORY_BYTES];
	struct tandem_stats *stats = NULL;
	struct tandem_error error = {.code = 0};
	directory_make(directory);
	cr_assert_eq(tandem_stats_create(directory, "kv", &stats, &error), 0, "%s", error.detail);
	fill(stats);
	struct json_object *list = tandem_status_of_channels(directory, "kv");
	cr_assert_eq(json_object_array_length(list), 3);
	cr_assert_str_eq(text_at(list, 0, "state"), "up");
	cr_assert_str_eq(text_at(list, 0, "bytes"), "4096");
	cr_assert_str_eq(text_at(list, 0, "in_flight"), "5");
	cr_assert_null(text_at(list, 0, "first_error"));
	struct json_object *first = json_object_array_get_idx(list, 0);
	double age_ms = json_object_get_double(json_object_object_get(first, "oldest_pending_ms"));
	cr_assert(age_ms >= 30 && age_ms < 60000, "%f", age_ms);
	cr_assert_str_eq(text_at(list, 1, "state"), "lost");
	cr_assert_str_eq(text_at(list, 1, "rail"), "1");
	cr_assert_str_eq(text_at(list, 1, "times_lost"), "2");
	cr_assert_str_eq(text_at(list, 1, "first_error"), "connection reset by the peer");
	cr_assert_null(text_at(list, 1, "oldest_pending_ms"));
	cr_assert_str_eq(text_at(list, 2, "state"), "unknown");
	cr_assert_eq(strlen(text_at(list, 2, "first_error")),
	             sizeof(stats->channels[2].first_error));
	json_object_put(list);
	stats->channel_count = 1u << 30;
	list = tandem_status_of_channels(directory, "kv");
	cr_assert_eq(json_object_array_length(list), TANDEM_STATS_CHANNELS_MAX);
	json_object_put(list);
	tandem_stats_close(stats);
	directory_remove(directory);
}

Test(channels, none_without_a_page)
{
	struct json_object *list = tandem_status_of_channels("/nonexistent", "kv");
	cr_assert_eq(json_object_array_length(list), 0);
	json_object_put(list);
}
