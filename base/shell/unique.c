#include <tandem/random.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include <tandem/assert.h>

void tandem_random_fill(void *ret_bytes, size_t length)
{
	/* Up to 256 bytes are given whole or not at all, see getrandom(2). A kernel without it
	 * cannot run this program safely: incarnations would repeat. */
	TANDEM_ASSERT(length <= 256);
	while (getrandom(ret_bytes, length, 0) < 0) {
		if (errno != EINTR)
			abort();
	}
}

uint64_t tandem_random_unique(void)
{
	uint64_t value = 0;
	while (value == 0)
		tandem_random_fill(&value, sizeof(value));
	return value;
}
