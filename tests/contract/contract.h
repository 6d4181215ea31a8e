#ifndef TANDEM_TESTS_CONTRACT_H
#define TANDEM_TESTS_CONTRACT_H

#include <stdbool.h>
#include <stdio.h>

#include <tandem/transport.h>

/* The transport contract as stories that any provider must pass. A story is plain C, so that the
 * same ones run under Criterion here and as a program where a device is. */

struct tandem_contract_bed {
	struct tandem_transport *listening; /* may be the same as `connecting` */
	struct tandem_transport *connecting;
	const char *address;
	const char *second_address; /* of a second rail; NULL: none */
	unsigned channel_count;     /* where a story has no number of its own; 0: the default */
	bool is_deterministic;      /* bytes move only in progress, and in one thread */
};

struct tandem_contract_story {
	const char *name;
	int (*run)(struct tandem_contract_bed *bed); /* 0 when it passed */
};

extern const struct tandem_contract_story tandem_contract_stories[];
extern const unsigned tandem_contract_story_count;

/* The beds of the providers. On failure the reason is in the error. */
int tandem_contract_bed_open(const char *provider, const char *address,
                             struct tandem_contract_bed *ret_bed,
                             struct tandem_error *reterr_error);
void tandem_contract_bed_close(struct tandem_contract_bed *bed);

/* In a function that gives int: says where and what, and gives -1. */
#define TANDEM_CONTRACT_CHECK(condition)                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			return -1;                                                                 \
		}                                                                                  \
	} while (0)

#endif
