#ifndef TANDEM_NODE_QEMU_NOTE_H
#define TANDEM_NODE_QEMU_NOTE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <tandem/histogram.h>

struct tandem_qemu_gates;

/* What `status` tells of a guest: RUN_DIR/PAIR.guest, a JSON object, written at most once a second
 * but for what is new. It names this process, whose it is no longer when that has ended. */
#define TANDEM_QEMU_GAPS_MAX 8u

struct tandem_qemu_note {
	char path[PATH_MAX];
	const struct tandem_qemu_gates *gates;
	pid_t forwards_for;  /* QEMU's process, of a guest that is not protected; 0: it is */
	bool is_kept;        /* as it was written last */
	const char *way;     /* how its memory comes, "" until that is known; static */
	char why[192];       /* not the other way */
	char unstarted[256]; /* why QEMU does not run it yet; "": it does */
	unsigned gap_count;
	char gaps[TANDEM_QEMU_GAPS_MAX][256]; /* what is not copied */
	struct tandem_histogram stood;        /* ns that it stood still for a checkpoint */
	uint64_t written_ns;
};

/* Borrows the gates. */
void tandem_qemu_note_open(struct tandem_qemu_note *note, const struct tandem_qemu_gates *gates,
                           const char *run_directory, const char *pair);
void tandem_qemu_note_gap(struct tandem_qemu_note *note, const char *text);
/* Why QEMU does not run it; "": it runs. */
void tandem_qemu_note_unstarted(struct tandem_qemu_note *note, const char *text);
void tandem_qemu_note_stood(struct tandem_qemu_note *note, uint64_t stood_ns);
/* `is_kept`: epochs of it are. A file that cannot be written is none. */
void tandem_qemu_note_write(struct tandem_qemu_note *note, bool is_kept);
/* To be called now and then: what a gate holds changes without a checkpoint, too. */
void tandem_qemu_note_renew(struct tandem_qemu_note *note);
void tandem_qemu_note_close(struct tandem_qemu_note *note);

#endif
