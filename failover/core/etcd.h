#ifndef TANDEM_FAILOVER_ETCD_H
#define TANDEM_FAILOVER_ETCD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/record.h"

/* What a key of etcd holds and what an answer about it means. The value is the record and the
 * number of the cluster that it was written in. A cluster that was restored from a backup or is
 * another one altogether has another number: a record that was carried there may be older than one
 * that the old cluster has still given away, so it is not believed (R4). */
#define TANDEM_ETCD_VALUE_BYTES (TANDEM_RECORD_BYTES + 8)

struct tandem_etcd_answer {
	uint64_t cluster_id; /* of the cluster that answered */
	bool has_succeeded;  /* the comparison held */
	bool has_value;      /* the key was read and exists */
	size_t value_length; /* 0 for a value that cannot be one of ours */
	uint8_t value[TANDEM_ETCD_VALUE_BYTES];
};

enum tandem_etcd_finding {
	TANDEM_ETCD_WON,           /* a CAS: what was desired is there */
	TANDEM_ETCD_RECORD,        /* *ret_record, generation 0 without one; a CAS: lost */
	TANDEM_ETCD_NO_RECORD,     /* the key holds something else */
	TANDEM_ETCD_OTHER_PAIR,    /* it holds a record of another pair */
	TANDEM_ETCD_OTHER_CLUSTER, /* its record was written in another cluster */
};

void tandem_etcd_value_encode(const struct tandem_record *record, uint64_t cluster_id,
                              uint8_t ret_bytes[static TANDEM_ETCD_VALUE_BYTES]);
/* What a reading found. */
enum tandem_etcd_finding tandem_etcd_find(const struct tandem_etcd_answer *answer, const char *pair,
                                          struct tandem_record *ret_record);
/* What came of a CAS that wanted `desired`, also when an earlier try of it was applied. */
enum tandem_etcd_finding tandem_etcd_judge(const struct tandem_etcd_answer *answer,
                                           const struct tandem_record *desired,
                                           struct tandem_record *ret_record);

#endif
