#ifndef TANDEM_TEST_LEDGER_RECORD_H
#define TANDEM_TEST_LEDGER_RECORD_H

#include <stdint.h>

#include <tandem/mac.h>

/* What the ledger tells the sink, over a stream: little-endian, no padding. The sink asks with the
 * 8 bytes of a number and gets a READ with that number. sink.py has the same layout. */
enum ledger_record_type {
	LEDGER_START = 1, /* first: it leads; step, link, salt; digest of the memory it found */
	LEDGER_STEP,      /* released output: this step was made */
	LEDGER_READ,      /* released output: this was the last step when it was asked */
	LEDGER_HALTED,    /* last: another node leads */
};

struct ledger_record {
	uint32_t type;
	char node[4];
	uint64_t generation; /* at the release */
	uint64_t step;
	uint64_t number; /* START: salt; READ: the asker's */
	uint64_t at_ns;  /* monotonic, of the release */
	uint8_t link[TANDEM_MAC_BYTES];
	uint8_t digest[TANDEM_MAC_BYTES];
};
_Static_assert(sizeof(struct ledger_record) == 104, "as sink.py reads it");

#endif
