#include <criterion/criterion.h>

#include "core/devices.h"

static const struct {
	const char *type;
	bool is_known;
} rows[] = {
        {"string", true}, /* a property, not a device */
        {"child<virtio-net-pci>", true},
        {"child<ide-hd>", true},
        {"child<virtio-balloon-pci>", true},
        {"child<virtconsole>", false},
        {"child<virtserialport>", false},
        {"child<vhost-user-blk-pci>", false},
        {"child<vfio-pci>", false},
        {"child<virtio-mem-pci>", false},
        {"child<usb-host>", false},
        {"child<virtio-net-pci", true},
        {"child<virtio-net>", false},
        {"child<virtio-net-pci-2>", false},
        {"child<>", false},
        {"child<", false},
};

Test(qemu_devices, only_those_that_leave_ram_alone_are_known)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_expect_eq(tandem_qemu_device_is_known(rows[i].type), rows[i].is_known, "%s",
		             rows[i].type);
}
