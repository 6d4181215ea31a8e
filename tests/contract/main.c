#include <stdlib.h>
#include <string.h>

#include "contract.h"

/* contract-rdma PROVIDER ADDRESS [STORY [CHANNELS [SECOND_ADDRESS]]]: runs the stories, or one,
 * where the provider is; STORY "" is all. */

static bool run(const struct tandem_contract_story *story, struct tandem_contract_bed *bed)
{
	printf("%s\n", story->name);
	fflush(stdout);
	bool is_passed = story->run(bed) == 0;
	printf("%s: %s\n", is_passed ? "passed" : "FAILED", story->name);
	fflush(stdout);
	return is_passed;
}

int main(int argument_count, char **arguments)
{
	struct tandem_contract_bed bed;
	struct tandem_error error = {0};
	unsigned passed_count = 0, failed_count = 0;
	if (argument_count < 3) {
		fprintf(stderr, "usage: contract-rdma PROVIDER ADDRESS [STORY [CHANNELS "
		                "[SECOND_ADDRESS]]]\n");
		return 2;
	}
	if (tandem_contract_bed_open(arguments[1], arguments[2], &bed, &error) != 0) {
		fprintf(stderr, "%s on %s: %s\n", arguments[1], arguments[2], error.detail);
		return 1;
	}
	if (argument_count > 4)
		bed.channel_count = (unsigned)strtoul(arguments[4], NULL, 10);
	if (argument_count > 5)
		bed.second_address = arguments[5];
	printf("%s: %s\n", tandem_transport_capabilities(bed.listening)->name,
	       tandem_transport_capabilities(bed.listening)->detail);
	for (unsigned i = 0; i < tandem_contract_story_count; i++) {
		const struct tandem_contract_story *story = &tandem_contract_stories[i];
		if (argument_count > 3 && arguments[3][0] != 0 &&
		    strcmp(arguments[3], story->name) != 0)
			continue;
		if (run(story, &bed))
			passed_count++;
		else
			failed_count++;
	}
	tandem_contract_bed_close(&bed);
	printf("%u passed, %u failed\n", passed_count, failed_count);
	return failed_count == 0 && passed_count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
