#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/assert.h>

#include <tandem/qemu_network.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* Any text is safe, and what is found was in it. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static const struct tandem_qemu_network_end ends[] = {{"tap", ",ifname=vm1,"},
	                                                      {"stream", ""}};
	char name[32];
	char *text = malloc(length + 1);

	if (!text)
		return 0;
	memcpy(text, bytes, length);
	text[length] = 0;
	if (tandem_qemu_network_has_other(text, ends, 2, name, sizeof(name)))
		TANDEM_ASSERT(strlen(name) < sizeof(name) && strstr(text, name));
	free(text);
	return 0;
}
