#ifndef TANDEM_IMAGE_H
#define TANDEM_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem/error.h>

#include "../core/layout.h"
#include "../core/wire.h"

/* Cache and image of a copy. The cache is what remote writes reach; the image, one shared-memory
 * file a region, is what a promoted program runs on and is changed by apply only. A new file is
 * sparse, and a page of it is touched only after the file system gave room for it [C32]: in a hole
 * that is zeros, neither apply nor a digest does. One thread. */
#define TANDEM_STATE_FILE "state.blob" /* no region can have this name */

#define TANDEM_IMAGE_KEPT_BYTES 192

struct tandem_image {
	struct tandem_layout layout;
	char directory[160]; /* IMAGE_DIRECTORY/PAIR */
	uint8_t *caches[TANDEM_REGIONS_MAX];
	uint8_t *images[TANDEM_REGIONS_MAX];
	int fds[TANDEM_REGIONS_MAX];           /* of the images that are mapped */
	uint64_t *missing[TANDEM_REGIONS_MAX]; /* pages without room; NULL: none */
	uint64_t missing_pages;                /* of all regions */
	unsigned room_region;                  /* where looking for them goes on */
	uint64_t room_page;
	bool takes_over; /* files that an earlier life left; false after init */
	bool is_made;
	bool has_content; /* a file was there before: it is not all zeros */
};

/* `directory` is made (0700) with its parent. Nothing is mapped yet. */
TANDEM_MUST_CHECK int tandem_image_init(struct tandem_image *image, const char *parent,
                                        const char *pair, struct tandem_error *reterr_error);
/* Files and caches for the layout's regions; room is not taken yet, but must be there. With
 * takes_over a file that an earlier life left is used when it has the region's size and nobody else
 * has it open for writing: has_content, worth its digests [C28]. All others are made anew, of
 * zeros, and older files of these names are unlinked, so a program that still runs on them keeps
 * its own. Errors: TANDEM_E_MEMORY (what is needed where), TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_image_make(struct tandem_image *image,
                                        const struct tandem_layout *layout,
                                        struct tandem_error *reterr_error);
/* Moves what the directory holds aside, to IMAGE_DIRECTORY/PAIR.kept-GENERATION, whose name is
 * given; *ret_kept is empty when there was nothing, or it was kept before. Only before make.
 * Errors: TANDEM_E_SYSTEM; then nothing was moved. */
TANDEM_MUST_CHECK int tandem_image_keep(struct tandem_image *image, uint64_t generation,
                                        char ret_kept[TANDEM_IMAGE_KEPT_BYTES],
                                        struct tandem_error *reterr_error);
/* [C32] Takes room for the data pages of these runs. Errors: TANDEM_E_MEMORY (of which file, and
 * what helps). */
TANDEM_MUST_CHECK int tandem_image_reserve(struct tandem_image *image,
                                           const struct tandem_run *runs, uint32_t run_count,
                                           struct tandem_error *reterr_error);
/* The same for so many pages of those that have none yet. */
TANDEM_MUST_CHECK int tandem_image_reserve_more(struct tandem_image *image, uint64_t page_count,
                                                struct tandem_error *reterr_error);
/* Of the region's file. */
void tandem_image_path(const struct tandem_image *image, unsigned region, char *path,
                       size_t path_bytes);
/* Says that the file has no room. */
int tandem_image_tell_no_room(const char *path, uint64_t bytes, int failure,
                              struct tandem_error *reterr_error);
/* Whether the file system has what is missing. Errors: TANDEM_E_MEMORY, TANDEM_E_SYSTEM. */
TANDEM_MUST_CHECK int tandem_image_check_room(const struct tandem_image *image,
                                              struct tandem_error *reterr_error);
/* Copies one run from cache to image, whose room was taken; zero runs become zeros in both. Others
 * may see it only after tandem_copy_publish(). */
void tandem_image_apply(struct tandem_image *image, const struct tandem_run *run);
/* Of a page of the image, by its global number; zeros for one that pads a region to its stripe. */
void tandem_image_digest(const struct tandem_image *image, uint64_t page, uint64_t seed,
                         uint8_t *ret_digest);
/* Writes DIRECTORY/state.blob, whose room tandem_image_make() has reserved. */
TANDEM_MUST_CHECK int tandem_image_write_state(const struct tandem_image *image, const void *state,
                                               size_t state_bytes,
                                               struct tandem_error *reterr_error);
/* Unmaps; unlinks the files when `is_unlinking`. */
void tandem_image_done(struct tandem_image *image, bool is_unlinking);
/* Unmaps the images but not the caches, which a fence could not prove safe: they are left behind
 * for good. */
void tandem_image_abandon_caches(struct tandem_image *image);

#endif
