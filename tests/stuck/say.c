#include "say.h"

#include <stdio.h>

#include <tandem/clock.h>

/* Details hold addresses and the words of the system; what JSON cannot hold becomes a space. */
static void put_text(const char *text)
{
	putchar('"');
	for (; *text != '\0'; text++) {
		const unsigned char byte = (unsigned char)*text;

		if (byte == '"' || byte == '\\')
			putchar('\\');
		putchar(byte < ' ' ? ' ' : byte);
	}
	putchar('"');
}

void say(const char *event, int channel, uint64_t number, const struct tandem_error *error)
{
	printf("{\"event\": \"%s\", \"ms\": %llu, \"channel\": %d, \"number\": %llu", event,
	       (unsigned long long)(tandem_clock_now_ns() / TANDEM_NS_PER_MS), channel,
	       (unsigned long long)number);
	if (error != NULL) {
		printf(", \"code\": \"%s\", \"wc\": %d, \"detail\": ",
		       tandem_error_name(error->code), error->wc_status);
		put_text(error->detail);
	}
	printf("}\n");
	fflush(stdout);
}
