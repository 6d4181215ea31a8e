#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "contract.h"
#include "fake.h"

/* The stories of the transport contract on the rdma provider, over a device in this process. */

ParameterizedTestParameters(rdma_contract, story)
{
	static unsigned numbers[64];

	for (unsigned i = 0; i < tandem_contract_story_count; i++)
		numbers[i] = i;
	return cr_make_param_array(unsigned, numbers, tandem_contract_story_count);
}

ParameterizedTest(unsigned *number, rdma_contract, story)
{
	const struct tandem_contract_story *story = &tandem_contract_stories[*number];
	struct tandem_contract_bed bed;
	struct tandem_error error = {0};

	fake_reset();
	cr_assert_eq(tandem_contract_bed_open("rdma", "127.0.0.1", &bed, &error), 0, "%s",
	             error.detail);
	cr_assert_eq(story->run(&bed), 0, "%s", story->name);
	tandem_contract_bed_close(&bed);
	cr_assert_str_eq(fake_misuse(), "", "%s: %s", story->name, fake_misuse());
	cr_assert_eq(fake_left_count(), 0, "%s leaves %u objects", story->name, fake_live_count());
}
