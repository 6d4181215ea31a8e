#include <criterion/criterion.h>

#include "qemu_gates.h"

Test(qemu_gates, each_card_has_one_of_its_kind)
{
	static struct tandem_qemu_gates gates;

	cr_assert(tandem_qemu_gates_add(&gates, "user:vm1"));
	cr_assert(tandem_qemu_gates_add(&gates, "user:/run/network"));
	cr_assert(tandem_qemu_gates_add(&gates, "plug:vm2"));
	cr_assert_eq(gates.count, 3);
	cr_assert_eq(gates.cards[1].kind, TANDEM_QEMU_GATE_USER);
	cr_assert_str_eq(gates.cards[1].outside, "/run/network");
	cr_assert_eq(gates.cards[2].kind, TANDEM_QEMU_GATE_PLUG);
	cr_assert_str_eq(gates.cards[2].outside, "vm2");
}

Test(qemu_gates, what_is_none_is_refused)
{
	static const char *const texts[] = {
	        "", "vm1", "user", "user:", "plug:", "tap:vm1", "ungated"};
	static struct tandem_qemu_gates gates;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_assert_not(tandem_qemu_gates_add(&gates, texts[i]), "%s", texts[i]);
	cr_assert_eq(gates.count, 0);
	for (unsigned i = 0; i < TANDEM_QEMU_GATES_MAX; i++)
		cr_assert(tandem_qemu_gates_add(&gates, "user:vm1"));
	cr_assert_not(tandem_qemu_gates_add(&gates, "user:vm1"), "there is room for eight");
}
