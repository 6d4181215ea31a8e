#include <criterion/criterion.h>

#include <tandem/qemu_network.h>

#define CARD "virtio-net-pci.0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56\r\n"
#define TAP  " \\ tandem0: index=0,type=tap,ifname=vm1,script=no,downscript=no\r\n"

static const struct tandem_qemu_network_end ends[] = {{"tap", ",ifname=vm1,"}, {"stream", ""}};

static const char *other(const char *text)
{
	static char name[160];

	name[0] = 0;
	(void)tandem_qemu_network_has_other(text, ends, 2, name, sizeof(name));
	return name;
}

Test(network, what_passes_a_gate_is_known_by_its_name_and_nature)
{
	cr_assert_str_eq(other(""), "");
	cr_assert_str_eq(other(CARD TAP), "");
	cr_assert_str_eq(other(CARD TAP "e1000.0: index=0,type=nic,model=e1000\n"
	                                " \\ tandem1: index=0,type=stream,unix:/run/vm1.card1\n"),
	                 "");
	cr_assert_str_eq(other("tandem0: index=0,type=tap,ifname=vm1,script=no"), "",
	                 "no card yet");
}

Test(network, anything_else_is_found)
{
	static const char *const texts[] = {
	        CARD " \\ net0: index=0,type=user,net=10.0.2.0,restrict=off\r\n",
	        CARD TAP CARD " \\ net0: index=0,type=tap,ifname=vm2,script=no\r\n",
	        CARD " \\ tandem0: index=0,type=tap,ifname=vm10,script=no\r\n",
	        CARD " \\ tandem0: index=0,type=stream,unix:/run/vm1.card0\r\n",
	        CARD " \\ tandem2: index=0,type=stream,unix:/run/vm1.card2\r\n",
	        CARD " \\ tandem00: index=0,type=tap,ifname=vm1,script=no\r\n",
	        "hub 0\r\n \\ hub0port0: #net123: index=0,type=user,net=10.0.2.0\r\n",
	        CARD TAP "lonely: index=0,type=socket",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_assert_str_neq(other(texts[i]), "", "%s", texts[i]);
	cr_assert_str_eq(other(texts[0]), "net0: index=0,type=user,net=10.0.2.0,restrict=off");
}

Test(network, a_long_name_is_cut)
{
	char name[5];

	cr_assert(tandem_qemu_network_has_other("network: index=0,type=user,", ends, 2, name, 5));
	cr_assert_str_eq(name, "netw");
}
