#include "core/devices.h"

#include <string.h>

/* As in "child<virtio-net-pci>"; what is no child is no device. */
#define BEGIN "child<"

static const char *const known[] = {
        /* network: packets wait while the guest stands still */
        "virtio-net-pci",
        "virtio-net-pci-transitional",
        "virtio-net-pci-non-transitional",
        "virtio-net-device",
        "e1000",
        "e1000e",
        "igb",
        "rtl8139",
        "vmxnet3",
        /* disks: QEMU waits for what is under way before the guest stands still */
        "virtio-blk-pci",
        "virtio-blk-pci-transitional",
        "virtio-blk-pci-non-transitional",
        "virtio-blk-device",
        "virtio-scsi-pci",
        "virtio-scsi-device",
        "scsi-hd",
        "scsi-cd",
        "ide-hd",
        "ide-cd",
        "ahci",
        "ich9-ahci",
        "nvme",
        "nvme-ns",
        "floppy",
        /* the rest asks whether the guest runs, or is moved by its clock */
        "virtio-balloon-pci",
        "virtio-balloon-device",
        "virtio-rng-pci",
        "virtio-rng-device",
        "VGA",
        "bochs-display",
        "cirrus-vga",
        "virtio-vga",
        "virtio-gpu-pci",
        "virtio-keyboard-pci",
        "virtio-mouse-pci",
        "virtio-tablet-pci",
        "piix3-usb-uhci",
        "ich9-usb-uhci1",
        "ich9-usb-ehci1",
        "usb-ehci",
        "qemu-xhci",
        "nec-usb-xhci",
        "usb-kbd",
        "usb-mouse",
        "usb-tablet",
        "isa-serial",
        "pci-serial",
        "isa-debugcon",
        "isa-debug-exit",
        "pvpanic",
        "pvpanic-pci",
        "i6300esb",
        "pc-dimm",
        "pci-bridge",
        "pcie-root-port",
        "pcie-pci-bridge",
        "ioh3420",
};

bool tandem_qemu_device_is_known(const char *type)
{
	const size_t begin = strlen(BEGIN);
	size_t length;

	if (strncmp(type, BEGIN, begin) != 0)
		return true;
	type += begin;
	length = strcspn(type, ">");
	for (unsigned i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strlen(known[i]) == length && memcmp(known[i], type, length) == 0)
			return true;
	}
	return false;
}
