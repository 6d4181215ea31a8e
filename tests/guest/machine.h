#ifndef MACHINE_H
#define MACHINE_H

#include <stdbool.h>
#include <stddef.h>

/* What a first program has to do: file systems, modules, the card. */

#define MACHINE_CARD "eth0"

/* /dev, /proc and no moving of pages. */
bool machine_mount(void);

/* Every module that /modules names, one path a line, in its order. The first that fails is named.
 */
bool machine_load_modules(char *failed, size_t length);

/* An address such as "10.78.0.2/24" for the card, which is taken up. */
bool machine_set_address(const char *address);

/* Never returns. */
void machine_reboot(void);
void machine_power_off(void);

#endif
