#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include <tandem/survey.h>

#include "fake.h"

static void survey(struct tandem_survey *ret_survey)
{
	struct tandem_error error = {0};

	cr_assert_eq(tandem_survey_run(ret_survey, &error), 0, "%s", error.detail);
}

Test(survey, names_what_is_there)
{
	static struct tandem_survey found;
	const struct tandem_survey_port *port = &found.devices[0].ports[0];

	fake_reset();
	fake_set_mtu(IBV_MTU_1024);
	survey(&found);
	cr_assert_eq(found.device_count, FAKE_DEVICES);
	cr_assert_eq(found.devices[0].port_count, fake_limits()->phys_port_cnt);
	cr_assert_str_neq(found.devices[0].name, "");
	cr_assert(port->is_active);
	cr_assert_str_eq(port->state, "PORT_ACTIVE");
	cr_assert_eq(port->active_mtu, 1024);
	cr_assert_eq(port->gid_count, 1);
	cr_assert_eq(port->gids[0].index, 1);
	cr_assert_str_eq(port->gids[0].type, "RoCE v2");
	cr_assert_str_eq(port->gids[0].text, "707:707:707:707:707:707:707:707");
	cr_assert_str_eq(port->gids[0].netdev, "");
}

Test(survey, says_which_gid_an_address_will_use)
{
	static struct tandem_survey found;
	struct tandem_survey_choice choice;
	struct tandem_error error = {0};

	fake_reset();
	survey(&found);
	cr_assert_eq(tandem_survey_choose(&found, "127.0.0.1", &choice, &error), 0, "%s",
	             error.detail);
	cr_assert_str_eq(choice.device, found.devices[0].name);
	cr_assert_eq(choice.port, 1);
	cr_assert_eq(choice.gid_index, 1);
	cr_assert_str_eq(choice.gid.type, "RoCE v2");
	/* A second rail, on the device that serves it. */
	cr_assert_eq(tandem_survey_choose(&found, "127.1.0.1", &choice, &error), 0, "%s",
	             error.detail);
	cr_assert_str_eq(choice.device, found.devices[1].name);
}

Test(survey, tells_a_port_that_is_down)
{
	static struct tandem_survey found;
	struct tandem_survey_choice choice = {.port = 77};
	struct tandem_error error = {0};

	fake_reset();
	fake_set_port_state(IBV_PORT_DOWN);
	survey(&found);
	cr_assert_not(found.devices[0].ports[0].is_active);
	cr_assert_str_eq(found.devices[0].ports[0].state, "PORT_DOWN");
	cr_assert_eq(tandem_survey_choose(&found, "127.0.0.1", &choice, &error), TANDEM_E_DEVICE);
	cr_assert_not_null(strstr(error.detail, "not ACTIVE"), "%s", error.detail);
	cr_assert_eq(choice.port, 77, "set on success only");
}

Test(survey, a_gid_that_has_gone_is_told)
{
	static struct tandem_survey found;
	struct tandem_survey_choice choice;
	struct tandem_error error = {0};

	fake_reset();
	fake_remove_gid(true);
	survey(&found);
	cr_assert_eq(found.devices[0].ports[0].gid_count, 0);
	cr_assert_eq(tandem_survey_choose(&found, "127.0.0.1", &choice, &error), 0, "%s",
	             error.detail);
	cr_assert_eq(choice.gid_index, -1);
}

static unsigned port_count(const struct tandem_survey *found)
{
	unsigned count = 0;

	for (unsigned i = 0; i < found->device_count; i++)
		count += found->devices[i].port_count;
	return count;
}

/* Every call may fail: the survey says less then, and crashes never. */
Test(survey, calls_that_fail)
{
	static struct tandem_survey found;
	struct tandem_error error;
	uint64_t count;

	fake_reset();
	count = fake_call_count();
	survey(&found);
	count = fake_call_count() - count;
	cr_assert_geq(count, 2);
	for (uint64_t number = 1; number <= count; number++) {
		fake_reset();
		fake_fail_call(number, EIO);
		if (tandem_survey_run(&found, &error) == 0)
			cr_assert_lt(port_count(&found), FAKE_DEVICES);
		else
			cr_assert_str_neq(error.detail, "");
		cr_assert_eq(fake_live_count(), 0);
		cr_assert_str_eq(fake_misuse(), "");
	}
}
