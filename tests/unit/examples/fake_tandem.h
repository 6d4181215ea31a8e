#ifndef FAKE_TANDEM_H
#define FAKE_TANDEM_H

#include <stdbool.h>
#include <stdint.h>

/* <tandem/tandem.h> without a pair: the gate opens at once, or when it is told to. One in a
 * process. Another process tells it through the FIFO that FAKE_TANDEM_COMMANDS names, a letter
 * each:
 *
 *   h hold what comes from now on       r release everything and hold no more
 *   b busy: no checkpoint can be taken  i idle: it can again
 *   w want a checkpoint                 x halt: another node leads
 *
 * After each letter a line "fake: LETTER checkpoints=N confirms=N regions=N used=MIB" goes to
 * standard error. FAKE_TANDEM_REFUSES makes tandem_open() say that another node leads. */
void fake_tandem_command(char letter);

#endif
