#include "seeds.h"

#include <stdlib.h>
#include <string.h>

#include "shell/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct tandem_request request;
	struct tandem_error error;
	if (tandem_request_parse((const char *)bytes, length, &request, &error) == 0 &&
	    (request.command >= TANDEM_COMMAND_COUNT ||
	     !memchr(request.pair, 0, sizeof(request.pair))))
		abort();
	return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *ret_bytes)
{
	static const char *const lines[] = {
	        "{\"command\":\"status\"}",
	        "{\"command\":\"promote\",\"pair\":\"kv\",\"generation\":7}",
	        "{\"command\":\"force-primary\",\"pair\":\"kv\",\"accept_data_loss\":true}",
	        "{\"command\":\"maintenance\",\"pair\":\"\\u00e9\",\"on\":false}",
	};
	if (index >= sizeof(lines) / sizeof(lines[0]))
		return 0;
	memcpy(ret_bytes, lines[index], strlen(lines[index]));
	return strlen(lines[index]);
}
