#ifndef TANDEM_NODE_QEMU_WORDS_H
#define TANDEM_NODE_QEMU_WORDS_H

#include <stdbool.h>
#include <stddef.h>

/* Words of QEMU's command line like "TYPE,KEY=VALUE,KEY=VALUE", where two commas are one of the
 * value. */

/* Whether it is the memory-backend-file of that id. */
bool tandem_qemu_word_is_backend(const char *word, const char *id);

/* The word with another value behind `key` ("KEY="). False: it has no such key, the value has a
 * comma, or `word_bytes` are too few. */
bool tandem_qemu_word_replace(const char *word, const char *key, const char *value, char *ret_word,
                              size_t word_bytes);

/* The backend with the file of an image, which is a copy that is kept and that changes: QEMU is not
 * to fill it (prealloc), which may put bytes back that were just written over, nor to empty it when
 * it ends (discard-data). What comes last counts. False: as above. */
bool tandem_qemu_word_give_image(const char *word, const char *path, char *ret_word,
                                 size_t word_bytes);

/* A command line whose QEMU only has to start: RAM in a file is in one without a name, in
 * `directory`, and no RAM is taken before it is used. Words that need no change are borrowed. The
 * caller's, to be freed with tandem_memory_free(). NULL: no memory. */
char **tandem_qemu_words_on_trial(char *const *words, const char *directory);

#endif
