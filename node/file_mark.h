#ifndef TANDEM_NODE_FILE_MARK_H
#define TANDEM_NODE_FILE_MARK_H

#include <stdbool.h>

/* Which file is at a path, in a word: another one, or one that was written to, has another word. */
#define TANDEM_FILE_MARK_BYTES 96u

/* "" where there is none. */
void tandem_file_mark(const char *path, char ret_mark[TANDEM_FILE_MARK_BYTES]);
bool tandem_file_has_mark(const char *path, const char *mark);

#endif
