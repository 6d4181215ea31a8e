#include <tandem/random.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

uint64_t tandem_random_unique(void)
{
	uint64_t value = 0;
	while (value == 0) {
		/* Up to 256 bytes are given whole or not at all, see getrandom(2). A kernel without
		 * it cannot run this program safely: incarnations would repeat. */
		if (getrandom(&value, sizeof(value), 0) < 0) {
			if (errno != EINTR)
				abort();
			value = 0;
		}
	}
	return value;
}
