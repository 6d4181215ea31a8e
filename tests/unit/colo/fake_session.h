#ifndef TANDEM_TEST_FAKE_SESSION_H
#define TANDEM_TEST_FAKE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "provider.h"

/* A session whose channels take, complete and refuse as the test says. */
#define FAKE_CHANNELS   3u
#define FAKE_WRITES_MAX 512u

struct fake_session {
	struct tandem_session head;
	unsigned depth; /* of each queue */
	uint32_t lost_mask;
	uint32_t stuck_mask; /* nothing of these completes */
	unsigned inflight[FAKE_CHANNELS];
	unsigned write_count[FAKE_CHANNELS];
	struct tandem_write writes[FAKE_CHANNELS][FAKE_WRITES_MAX];
	unsigned progress_count;
	uint32_t unstick_at; /* progress calls until stuck channels complete too */
	uint32_t restored_mask;
	int restore_code;
	unsigned beat_count;
	unsigned read_count;
	int read_code;
};

void fake_session_init(struct fake_session *fake, unsigned depth);

#endif
