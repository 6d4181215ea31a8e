#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <tandem/assert.h>

#include "shell/qmp_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* Any bytes are safe, and what is understood has what its type says. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct tandem_qmp_message message;
	struct tandem_error error = {0};
	const int status = tandem_qmp_message_parse((const char *)bytes, length, &message, &error);

	if (status != 0) {
		TANDEM_ASSERT(status == error.code && strlen(error.detail) > 0);
		return 0;
	}
	TANDEM_ASSERT(message.root);
	TANDEM_ASSERT(message.type != TANDEM_QMP_EVENT || message.name);
	TANDEM_ASSERT(message.type != TANDEM_QMP_REFUSAL || (message.name && message.detail));
	TANDEM_ASSERT(!message.has_id || message.id <= INT64_MAX);
	tandem_qmp_message_end(&message);
	return 0;
}
