#ifndef TANDEM_QEMU_VERSION_H
#define TANDEM_QEMU_VERSION_H

#include <stdbool.h>

struct tandem_qemu_numbers {
	unsigned major;
	unsigned minor;
	unsigned micro;
};

/* What a version of QEMU does with x-colo. */
/* From good to bad. */
enum tandem_qemu_verdict {
	TANDEM_QEMU_USABLE,
	TANDEM_QEMU_UNTESTED, /* nothing is known against it */
	TANDEM_QEMU_UNUSABLE,
};

struct tandem_qemu_rule {
	enum tandem_qemu_verdict verdict;
	bool has_return_path; /* its capability return-path has to be on, else it has to be off */
	const char *text;     /* why, and what helps; static */
};

/* `has_kvm`: the guest runs under KVM. */
void tandem_qemu_version_judge(unsigned major, unsigned minor, bool has_kvm,
                               struct tandem_qemu_rule *ret_rule);

#endif
