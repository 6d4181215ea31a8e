#include <tandem/quantity.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
	uint64_t size;
	const char *name;
};

static void format(uint64_t value, const struct unit *units, char text[TANDEM_QUANTITY_BYTES])
{
	while (units->size > 1 && value < units->size)
		units++;
	uint64_t rest = value % units->size;
	/* A rest is below 2^40 here, so the product fits. */
	unsigned thousandths = (unsigned)(rest * 1000 / units->size);
	int length = snprintf(text, TANDEM_QUANTITY_BYTES, "%" PRIu64, value / units->size);
	if (thousandths > 0) {
		length += snprintf(text + length, TANDEM_QUANTITY_BYTES - (size_t)length, ".%03u",
		                   thousandths);
		while (text[length - 1] == '0')
			length--;
	}
	snprintf(text + length, TANDEM_QUANTITY_BYTES - (size_t)length, " %s", units->name);
}

void tandem_quantity_span(uint64_t span_ns, char text[TANDEM_QUANTITY_BYTES])
{
	static const struct unit units[] = {{UINT64_C(1000000000), "s"},
	                                    {UINT64_C(1000000), "ms"},
	                                    {UINT64_C(1000), "us"},
	                                    {1, "ns"}};
	if (span_ns == 0)
		snprintf(text, TANDEM_QUANTITY_BYTES, "0");
	else
		format(span_ns, units, text);
}

void tandem_quantity_bytes(uint64_t bytes, char text[TANDEM_QUANTITY_BYTES])
{
	static const struct unit units[] = {{UINT64_C(1) << 40, "TiB"},
	                                    {UINT64_C(1) << 30, "GiB"},
	                                    {UINT64_C(1) << 20, "MiB"},
	                                    {UINT64_C(1) << 10, "KiB"},
	                                    {1, "bytes"}};
	format(bytes, units, text);
}
