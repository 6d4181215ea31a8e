#include <criterion/criterion.h>

#include <tandem/stats_page.h>
#include <tandem/transport.h>

/* The stats page carries the number, and who reads it may not know the transport. */
Test(channel_words, are_the_same_on_both_sides)
{
	for (unsigned state = 0; state <= TANDEM_CHANNEL_STATE_COUNT; state++) {
		const char *text = tandem_channel_state_text((enum tandem_channel_state)state);
		cr_assert_str_eq(tandem_channel_stats_state(state), text);
	}
}
