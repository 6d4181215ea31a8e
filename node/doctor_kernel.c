#include "doctor.h"

#include <stdio.h>

/* Faults of the kernel's soft-RoCE that were met in virtual machines; hardware has none of them.
 * From the first version on, before the second. */
static const struct {
	unsigned first[3];
	unsigned end[3];
	struct tandem_doctor_kernel_fault fault;
} faults[] = {
        {{6, 1, 0},
         {6, 2, 0},
         {TANDEM_DOCTOR_WARNING,
          "soft-RoCE of Linux 6.1 loses count of its device when connections end abruptly, again "
          "and again (warning at rxe_net.c:394), and a process may crash with it",
          "run Linux 6.12 or newer where hosts are killed on purpose"}},
        {{6, 12, 115},
         {6, 13, 0},
         {TANDEM_DOCTOR_NOTE,
          "soft-RoCE of this kernel cannot register more than 1 GiB at once; Tandem registers 256 "
          "MiB at once",
          ""}},
        {{6, 12, 0},
         {6, 13, 0},
         {TANDEM_DOCTOR_NOTE,
          "soft-RoCE of this kernel hangs on a full completion queue; Tandem's hold every posted "
          "request",
          ""}},
};

static bool is_before(const unsigned left[3], const unsigned right[3])
{
	for (unsigned i = 0; i < 3; i++) {
		if (left[i] != right[i])
			return left[i] < right[i];
	}
	return false;
}

bool tandem_doctor_kernel_fault(const char *release, size_t index,
                                struct tandem_doctor_kernel_fault *ret_fault)
{
	unsigned version[3] = {0, 0, 0};
	/* Debian's name has no third part that counts ("6.1.0-50-amd64"): an upper bound is then
	 * not known, and such a kernel is taken for its first. */
	if (sscanf(release, "%u.%u.%u", &version[0], &version[1], &version[2]) < 2)
		return false;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		if (is_before(version, faults[i].first) || !is_before(version, faults[i].end))
			continue;
		if (index-- == 0) {
			*ret_fault = faults[i].fault;
			return true;
		}
	}
	return false;
}
