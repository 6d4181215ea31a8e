#ifndef TANDEM_QEMU_NETWORK_H
#define TANDEM_QEMU_NETWORK_H

#include <stdbool.h>
#include <stddef.h>

/* Which network a guest of a running QEMU has, as its monitor tells it: `info network`. Pure; any
 * text is safe. Source: QEMU 7.2 to 11.1, net/net.c (hmp_info_network). */
struct tandem_qemu_network_end {
	const char *type;    /* of the netdev, "stream" or "tap" */
	const char *details; /* that it is told with, or "" */
};

/* Looks for a network that is none of `ends`, which are the netdevs tandem0, tandem1, ... (at most
 * 10). True: there is one, whose name and nature, cut to fit, are in ret_name. */
bool tandem_qemu_network_has_other(const char *text, const struct tandem_qemu_network_end *ends,
                                   unsigned end_count, char *ret_name, size_t name_bytes);

#endif
