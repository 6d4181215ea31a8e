#ifndef TANDEM_TESTS_CONTRACT_DESCRIPTORS_H
#define TANDEM_TESTS_CONTRACT_DESCRIPTORS_H

/* Open descriptors of this process, to see that none leaks. */
unsigned descriptors_count(void);

#endif
