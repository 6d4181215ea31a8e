#ifndef TEST_FAILOVER_DIRECTORY_H
#define TEST_FAILOVER_DIRECTORY_H

#define DIRECTORY_BYTES 64

/* A directory of its own for a test, removed with all that is in it. */
void directory_make(char ret_path[DIRECTORY_BYTES]);
void directory_remove(const char *path);

#endif
