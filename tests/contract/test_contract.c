#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "contract.h"

/* A row is a number, because Criterion's workers cannot follow pointers: provider and story. */
static const char *const providers[] = {"memory", "tcp"};

#define PROVIDER_COUNT (sizeof(providers) / sizeof(providers[0]))

ParameterizedTestParameters(contract, story)
{
	static unsigned rows[256];
	unsigned count = (unsigned)(PROVIDER_COUNT * tandem_contract_story_count);
	for (unsigned i = 0; i < count; i++)
		rows[i] = i;
	return cr_make_param_array(unsigned, rows, count);
}

ParameterizedTest(unsigned *row, contract, story)
{
	struct tandem_contract_bed bed;
	const struct tandem_contract_story *story = &tandem_contract_stories[*row / PROVIDER_COUNT];
	const char *provider = providers[*row % PROVIDER_COUNT];
	cr_assert_eq(tandem_contract_bed_open(provider, "127.0.0.1", &bed, NULL), 0);
	cr_expect_eq(story->run(&bed), 0, "%s: %s", provider, story->name);
	tandem_contract_bed_close(&bed);
}

Test(contract, tcp_over_ipv6)
{
	struct tandem_contract_bed bed;
	cr_assert_eq(tandem_contract_bed_open("tcp", "::1", &bed, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		cr_expect_eq(tandem_contract_stories[i].run(&bed), 0, "%s",
		             tandem_contract_stories[i].name);
	tandem_contract_bed_close(&bed);
}
