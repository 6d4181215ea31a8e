#ifndef TANDEM_FAILOVER_HEADLINE_H
#define TANDEM_FAILOVER_HEADLINE_H

#include "core/machine.h"

/* The one line that says how a pair is, as this node knows it, and the word that it begins with. */
#define TANDEM_HEADLINE_TABLE(X)                                                                   \
	X(PROTECTED)   /* a failover now would lose nothing */                                     \
	X(UNPROTECTED) /* it leads, and nobody could go on without it */                           \
	X(DECIDING)    /* who goes on is being decided */                                          \
	X(WAITING)     /* nothing to lead and no copy here */                                      \
	X(HALTED)                                                                                  \
	X(MAINTENANCE)

enum tandem_headline {
#define X(name) TANDEM_HEADLINE_##name,
	TANDEM_HEADLINE_TABLE(X)
#undef X
};

/* What the machine does not know: from the stats page of the program that is attached. */
struct tandem_headline_facts {
	bool has_page;
	uint64_t behind_ns; /* age of the oldest output that waits for a commit; 0: none waits */
	bool is_copying;
	bool is_comparing; /* what the other node has: it comes before the copying */
	uint64_t copy_bytes_total;
	uint64_t copy_bytes_done;
	uint64_t copy_bytes_equal; /* that the other node had already */
	uint64_t copy_bytes_per_s; /* 0: not known yet */
};

enum tandem_headline tandem_headline_of(const struct tandem_machine *machine, uint64_t now_ns);
const char *tandem_headline_name(enum tandem_headline headline);
/* "PROTECTED: alpha primary (generation 7), beta in sync, 3 ms behind" */
void tandem_headline_spell(const struct tandem_machine *machine,
                           const struct tandem_headline_facts *facts, uint64_t now_ns,
                           char *ret_text, size_t size);

#endif
