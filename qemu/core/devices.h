#ifndef TANDEM_QEMU_DEVICES_H
#define TANDEM_QEMU_DEVICES_H

#include <stdbool.h>

/* Whether a device, by its type as qom-list tells it, writes to the guest's RAM only through QEMU
 * itself and never while the guest stands still. An input port of virtio-serial has nothing
 * that keeps it from that, nor have devices of the host that are handed through. Pure. Source:
 * QEMU 7.2 to 11.1, hw/char/virtio-serial-bus.c, hw/usb, net/net.c, ui/input.c, hw/virtio. */
bool tandem_qemu_device_is_known(const char *type);

#endif
