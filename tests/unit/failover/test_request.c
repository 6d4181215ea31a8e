#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "shell/request.h"

static int parse(const char *line, struct tandem_request *ret_request)
{
	return tandem_request_parse(line, strlen(line), ret_request, NULL);
}

Test(request, every_command_is_understood)
{
	for (enum tandem_command command = 0; command < TANDEM_COMMAND_COUNT; command++) {
		char line[80];
		struct tandem_request request;
		snprintf(line, sizeof(line), "{\"command\":\"%s\",\"pair\":\"kv\"}",
		         tandem_command_name(command));
		cr_assert(parse(line, &request) == 0);
		cr_expect(request.command == command);
		cr_expect(request.has_pair);
		cr_expect(strcmp(request.pair, "kv") == 0);
	}
}

Test(request, the_operators_word_names_its_generation)
{
	struct tandem_request request;
	cr_assert(parse("{\"command\":\"promote\",\"pair\":\"kv\",\"generation\":7}", &request) ==
	          0);
	cr_expect(request.has_generation);
	cr_expect(request.generation == 7);
	cr_assert(parse("{\"command\":\"promote\",\"generation\":18446744073709551615}",
	                &request) == 0);
	cr_expect(request.generation == UINT64_MAX);
	cr_assert(parse("{\"command\":\"status\"}", &request) == 0);
	cr_expect(!(request.has_pair));
	cr_expect(!(request.has_generation));
	cr_expect(!(request.accepts_data_loss));
}

static const char *const wrong[] = {
        "",
        "{",
        "[]",
        "7",
        "\"status\"",
        "{}",
        "null",
        "{\"command\":\"explode\"}",
        "{\"command\":7}",
        "{\"command\":\"status\",\"pair\":7}",
        "{\"command\":\"status\",\"pair\":\"\"}",
        "{\"command\":\"status\",\"pair\":\"01234567890123456789012345678901\"}",
        "{\"command\":\"status\",\"pair\":\"a\\u0000b\"}",
        "{\"command\":\"promote\",\"generation\":-1}",
        "{\"command\":\"promote\",\"generation\":1.5}",
        "{\"command\":\"promote\",\"generation\":\"1\"}",
        "{\"command\":\"force-primary\",\"accept_data_loss\":1}",
        "{\"command\":\"status\",\"pari\":\"kv\"}",
        "{\"command\":\"status\"} x",
        "{\"command\":\"status\"}{}",
        "{'command':'status'}",
        "{\"command\":\"status\",\"pair\":{\"a\":{\"b\":{\"c\":{}}}}}",
};

Test(request, everything_else_is_refused_with_a_reason)
{
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct tandem_request request;
		struct tandem_error error = {0};
		cr_expect(tandem_request_parse(wrong[i], strlen(wrong[i]), &request, &error) ==
		                  TANDEM_E_USAGE,
		          "%s", wrong[i]);
		cr_expect(strlen(error.detail) > 0);
	}
}
