#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/etcd.h"
#include "shell/etcd_text.h"

/* Whatever a server says: no record comes out that would be spelled otherwise, and a CAS is won
 * only by an answer that says so or shows the very record. */
static void check(const struct tandem_etcd_answer *answer, bool is_cas)
{
	const struct tandem_record desired = {.generation = 3,
	                                      .owner_incarnation = 1,
	                                      .decision = 30,
	                                      .pair = "kv",
	                                      .owner = "a"};
	struct tandem_record record;
	uint8_t bytes[TANDEM_ETCD_VALUE_BYTES];
	if (!is_cas) {
		if (tandem_etcd_find(answer, "kv", &record) == TANDEM_ETCD_RECORD &&
		    record.generation > 0) {
			tandem_etcd_value_encode(&record, answer->cluster_id, bytes);
			if (memcmp(bytes, answer->value, sizeof(bytes)) != 0)
				abort();
		}
		return;
	}
	if (tandem_etcd_judge(answer, &desired, &record) != TANDEM_ETCD_WON ||
	    answer->has_succeeded)
		return;
	if (tandem_etcd_find(answer, "kv", &record) != TANDEM_ETCD_RECORD ||
	    !tandem_record_is_same(&record, &desired))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct tandem_etcd_answer answer;
	char reason[100];
	for (unsigned is_cas = 0; is_cas < 2; is_cas++) {
		if (tandem_etcd_read_answer((const char *)bytes, length, is_cas, &answer, NULL) ==
		    0)
			check(&answer, is_cas);
	}
	tandem_etcd_read_refusal((const char *)bytes, length, reason, sizeof(reason));
	if (!memchr(reason, 0, sizeof(reason)))
		abort();
	return 0;
}
