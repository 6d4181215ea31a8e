#ifndef TANDEM_QUANTITY_H
#define TANDEM_QUANTITY_H

#include <stddef.h>
#include <stdint.h>

#define TANDEM_QUANTITY_BYTES 32

/* Quantities for people: the largest unit that is not above them, and as many decimals as it takes
 * to be exact, three at most: "1.5 s", "100 ms", "20 us", "64 KiB".
 * Any thread. */
void tandem_quantity_span(uint64_t span_ns, char text[TANDEM_QUANTITY_BYTES]);
void tandem_quantity_bytes(uint64_t bytes, char text[TANDEM_QUANTITY_BYTES]);

#endif
