#ifndef TANDEM_TEST_COLO_FUZZ_H
#define TANDEM_TEST_COLO_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* A sound input of the target to start from; its length, at most `capacity`. `number` chooses. */
size_t fuzz_example(unsigned number, uint8_t *bytes, size_t capacity);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
