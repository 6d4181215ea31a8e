#include "core/etcd.h"

#include <string.h>

#include <tandem/bytes.h>

void tandem_etcd_value_encode(const struct tandem_record *record, uint64_t cluster_id,
                              uint8_t ret_bytes[static TANDEM_ETCD_VALUE_BYTES])
{
	struct tandem_writer writer = tandem_writer_over(ret_bytes + TANDEM_RECORD_BYTES, 8);
	tandem_record_encode(record, ret_bytes);
	tandem_write_u64(&writer, cluster_id);
}

/* A CAS compares bytes: a value that we would spell otherwise could be read but never replaced. */
static bool is_spelled_alike(const struct tandem_record *record, const uint8_t *bytes)
{
	uint8_t again[TANDEM_RECORD_BYTES];
	tandem_record_encode(record, again);
	return memcmp(again, bytes, sizeof(again)) == 0;
}

enum tandem_etcd_finding tandem_etcd_find(const struct tandem_etcd_answer *answer, const char *pair,
                                          struct tandem_record *ret_record)
{
	struct tandem_record record = {.generation = 0};
	if (!answer->has_value) {
		*ret_record = record;
		return TANDEM_ETCD_RECORD;
	}
	if (answer->value_length != TANDEM_ETCD_VALUE_BYTES ||
	    tandem_record_decode(answer->value, TANDEM_RECORD_BYTES, &record) != 0 ||
	    !is_spelled_alike(&record, answer->value))
		return TANDEM_ETCD_NO_RECORD;
	if (strcmp(record.pair, pair) != 0)
		return TANDEM_ETCD_OTHER_PAIR;
	struct tandem_reader reader = tandem_reader_over(answer->value + TANDEM_RECORD_BYTES, 8);
	if (tandem_read_u64(&reader) != answer->cluster_id)
		return TANDEM_ETCD_OTHER_CLUSTER;
	*ret_record = record;
	return TANDEM_ETCD_RECORD;
}

enum tandem_etcd_finding tandem_etcd_judge(const struct tandem_etcd_answer *answer,
                                           const struct tandem_record *desired,
                                           struct tandem_record *ret_record)
{
	struct tandem_record record;
	if (answer->has_succeeded)
		return TANDEM_ETCD_WON;
	enum tandem_etcd_finding finding = tandem_etcd_find(answer, desired->pair, &record);
	if (finding != TANDEM_ETCD_RECORD)
		return finding;
	if (tandem_record_is_same(&record, desired))
		return TANDEM_ETCD_WON;
	*ret_record = record;
	return TANDEM_ETCD_RECORD;
}
