#include <tandem/qemu_version.h>

#include <stddef.h>

struct row {
	unsigned major_first, minor_first;
	unsigned major_last, minor_last;
	enum tandem_qemu_verdict with_kvm;
	enum tandem_qemu_verdict without_kvm;
	bool has_return_path;
	const char *text;
};

#define ANY 999u

static const struct row rows[] = {
        {0, 0, 7, 1, TANDEM_QEMU_UNTESTED, TANDEM_QEMU_UNUSABLE, false,
         "QEMU before 7.2 was never tried; 7.2 is the oldest that is"},
        {7, 2, 7, 2, TANDEM_QEMU_USABLE, TANDEM_QEMU_UNUSABLE, false,
         "QEMU before 11.0 does not get past its second checkpoint without KVM: use KVM, or 11.1"},
        {7, 3, 9, ANY, TANDEM_QEMU_UNTESTED, TANDEM_QEMU_UNUSABLE, false,
         "QEMU 8 and 9 should do under KVM, but were never tried; 7.2 is"},
        {10, 0, 10, 1, TANDEM_QEMU_UNUSABLE, TANDEM_QEMU_UNUSABLE, false,
         "x-colo is broken in QEMU 10.0 and 10.1: the migration just completes; use 11.1"},
        {10, 2, 10, ANY, TANDEM_QEMU_UNTESTED, TANDEM_QEMU_UNUSABLE, false,
         "QEMU 10.2 should do under KVM, but was never tried; 7.2 is"},
        {11, 0, 11, 0, TANDEM_QEMU_UNTESTED, TANDEM_QEMU_UNTESTED, true,
         "QEMU 11.0 should do, but was never tried; 11.1 is"},
        {11, 1, 11, 1, TANDEM_QEMU_USABLE, TANDEM_QEMU_USABLE, true,
         "QEMU 11.1 is among the versions that are tried"},
        {11, 2, ANY, ANY, TANDEM_QEMU_UNTESTED, TANDEM_QEMU_UNTESTED, true,
         "QEMU after 11.1 should do, but was never tried; 11.1 is"},
};

static bool is_within(const struct row *row, unsigned major, unsigned minor)
{
	const bool is_late = major > row->major_first ||
	                     (major == row->major_first && minor >= row->minor_first);
	const bool is_early =
	        major < row->major_last || (major == row->major_last && minor <= row->minor_last);

	return is_late && is_early;
}

void tandem_qemu_version_judge(unsigned major, unsigned minor, bool has_kvm,
                               struct tandem_qemu_rule *ret_rule)
{
	const struct row *last = &rows[sizeof(rows) / sizeof(rows[0]) - 1];
	const struct row *row = rows;

	while (row != last && !is_within(row, major, minor))
		row++;
	*ret_rule = (struct tandem_qemu_rule){
	        .verdict = has_kvm ? row->with_kvm : row->without_kvm,
	        .has_return_path = row->has_return_path,
	        .text = row->text,
	};
}
