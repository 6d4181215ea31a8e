#ifndef TANDEM_COLO_PEER_BEAT_H
#define TANDEM_COLO_PEER_BEAT_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem/control.h>

/* What the readings of the peer's beat, one an interval, say about its process [T18]. Pure.
 * A reading that failed says nothing, and all that was known before is forgotten with it. */
struct tandem_peer_beat_view {
	uint64_t interval_ns;
	bool is_watched;   /* a session is up */
	bool is_reading;   /* one is under way */
	uint64_t next_ns;  /* when the next one begins */
	uint64_t begun_ns; /* the one under way, or the last */
	bool has_word;     /* the last one came */
	bool has_moved;    /* since the first that came */
	uint64_t word;
	uint64_t moved_ns; /* when the word was first read, or last seen to have moved: the
	                      beginning of that reading */
	uint64_t read_ns;  /* likewise of the last that came */
};

/* In intervals: a word that has not moved for so long stands still; a reading may take so long. */
#define TANDEM_PEER_BEAT_PATIENCE 3
#define TANDEM_PEER_BEAT_TIMEOUT  4

void tandem_peer_beat_begin(struct tandem_peer_beat_view *view, uint64_t interval_ns,
                            uint64_t now_ns);
void tandem_peer_beat_end(struct tandem_peer_beat_view *view);
/* When to read; UINT64_MAX while one is under way or nothing is watched. */
uint64_t tandem_peer_beat_deadline_ns(const struct tandem_peer_beat_view *view);
/* A reading has begun, or could not. */
void tandem_peer_beat_reading(struct tandem_peer_beat_view *view, bool has_begun, uint64_t now_ns);
void tandem_peer_beat_read(struct tandem_peer_beat_view *view, bool has_word, uint64_t word);
enum tandem_peer_beat tandem_peer_beat_of(const struct tandem_peer_beat_view *view);

#endif
