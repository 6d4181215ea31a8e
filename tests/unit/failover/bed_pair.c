#include "bed_pair.h"

#include <criterion/criterion.h>

struct bed_plane *bed_program, *bed_standby;

void bed_say_session(bool is_up)
{
	struct tandem_control_message message = {.type = is_up ? TANDEM_CONTROL_SESSION_UP
	                                                       : TANDEM_CONTROL_SESSION_LOST};
	bed_program->report.has_session = bed_standby->report.has_session = is_up;
	bed_program->report.peer_incarnation = BED_STANDBY;
	bed_standby->report.peer_incarnation = BED_PROGRAM;
	message.peer_incarnation = BED_STANDBY;
	if (bed_program->fd >= 0)
		bed_say(bed_program, message);
	message.peer_incarnation = BED_PROGRAM;
	bed_say(bed_standby, message);
}

void bed_make_pair(void)
{
	struct tandem_control_message ready = {.type = TANDEM_CONTROL_READY};
	struct tandem_control_message copied = {.type = TANDEM_CONTROL_COPIED,
	                                        .peer_incarnation = BED_STANDBY};
	bed_program = bed_attach(0, TANDEM_CONTROL_KIND_PROGRAM, BED_PROGRAM);
	const struct tandem_control_message *welcome =
	        bed_wait(bed_program, TANDEM_CONTROL_WELCOME);
	cr_expect_str_eq(welcome->settings.node, "a");
	cr_expect(welcome->settings.channel_count == 4);
	bed_say(bed_program, ready);
	const struct tandem_control_message *lead = bed_wait(bed_program, TANDEM_CONTROL_LEAD);
	cr_expect(lead->generation == 1);
	cr_expect(!lead->is_pair);
	bed_standby = bed_attach(1, TANDEM_CONTROL_KIND_STANDBY, BED_STANDBY);
	const struct tandem_control_message *order = bed_wait(bed_standby, TANDEM_CONTROL_STAND_BY);
	cr_expect(order->generation == 1);
	cr_expect(order->peer_incarnation == BED_PROGRAM, "whom it may accept");
	bed_say_session(true);
	bed_standby->report.has_copy = true;
	copied.generation = 1;
	bed_program->count = 0;
	bed_standby->count = 0;
	bed_say(bed_program, copied);
	lead = bed_wait(bed_program, TANDEM_CONTROL_LEAD);
	cr_expect(lead->generation == 2);
	cr_expect(lead->is_pair);
	bed_wait_state(1, "SECONDARY");
	cr_expect(bed_wait(bed_standby, TANDEM_CONTROL_STAND_BY)->generation == 2);
}
