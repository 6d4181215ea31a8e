#include <criterion/criterion.h>

#include <string.h>

#include <tandem/qemu_version.h>

static const struct {
	unsigned major, minor;
	enum tandem_qemu_verdict with_kvm, without_kvm;
	bool has_return_path;
	const char *names;
} rows[] = {
        {6, 2, TANDEM_QEMU_UNTESTED, TANDEM_QEMU_UNUSABLE, false, "7.2"},
        {7, 1, TANDEM_QEMU_UNTESTED, TANDEM_QEMU_UNUSABLE, false, "7.2"},
        {7, 2, TANDEM_QEMU_USABLE, TANDEM_QEMU_UNUSABLE, false, "KVM"},
        {8, 0, TANDEM_QEMU_UNTESTED, TANDEM_QEMU_UNUSABLE, false, "7.2"},
        {9, 2, TANDEM_QEMU_UNTESTED, TANDEM_QEMU_UNUSABLE, false, "7.2"},
        {10, 0, TANDEM_QEMU_UNUSABLE, TANDEM_QEMU_UNUSABLE, false, "11.1"},
        {10, 1, TANDEM_QEMU_UNUSABLE, TANDEM_QEMU_UNUSABLE, false, "11.1"},
        {10, 2, TANDEM_QEMU_UNTESTED, TANDEM_QEMU_UNUSABLE, false, "7.2"},
        {11, 0, TANDEM_QEMU_UNTESTED, TANDEM_QEMU_UNTESTED, true, "11.1"},
        {11, 1, TANDEM_QEMU_USABLE, TANDEM_QEMU_USABLE, true, "11.1"},
        {11, 2, TANDEM_QEMU_UNTESTED, TANDEM_QEMU_UNTESTED, true, "11.1"},
        {4000000000u, 4000000000u, TANDEM_QEMU_UNTESTED, TANDEM_QEMU_UNTESTED, true, "11.1"},
};

Test(qemu_version, each_has_its_rule_and_a_reason)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tandem_qemu_rule rule;

		tandem_qemu_version_judge(rows[i].major, rows[i].minor, true, &rule);
		cr_expect_eq(rule.verdict, rows[i].with_kvm, "row %zu", i);
		cr_expect_eq(rule.has_return_path, rows[i].has_return_path, "row %zu", i);
		cr_expect(strstr(rule.text, rows[i].names), "row %zu: %s", i, rule.text);
		tandem_qemu_version_judge(rows[i].major, rows[i].minor, false, &rule);
		cr_expect_eq(rule.verdict, rows[i].without_kvm, "row %zu", i);
	}
}
