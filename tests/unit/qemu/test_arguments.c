#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include <tandem/qemu_arguments.h>

#define WORDS(...) ((char *const *)(uintptr_t)(const char *const[]){__VA_ARGS__, NULL})

static void expect_derived(char *const *words, char *const *wanted)
{
	const char *const sockets[] = {"/run/vm1.qmp"};
	const char *got[32];
	const size_t count = tandem_qemu_arguments_derive(words, sockets, 1, got, 32);
	size_t i = 0;

	for (; wanted[i]; i++) {
		cr_assert_lt(i, count);
		cr_expect_str_eq(got[i], wanted[i]);
	}
	cr_expect_eq(count, i);
	cr_expect_null(got[count]);
}

Test(arguments, what_is_that_qemus_alone_is_left_out)
{
	expect_derived(
	        WORDS("qemu", "-S", "-m", "1G", "-incoming", "defer", "-qmp",
	              "unix:/run/vm1.qmp,server=on,wait=off", "-nodefaults", "-qmp",
	              "unix:/run/other,server=on"),
	        WORDS("qemu", "-m", "1G", "-nodefaults", "-qmp", "unix:/run/other,server=on"));
	expect_derived(WORDS("qemu", "--chardev", "socket,id=tandem-control,fd=7", "-mon",
	                     "chardev=tandem-control,mode=control", "-append", "-S", "-daemonize"),
	               WORDS("qemu", "-append", "-S"));
}

Test(arguments, what_only_begins_as_tandems_names_do_stays)
{
	expect_derived(WORDS("qemu", "-netdev", "tap,ifname=vm1,id=tandem0", "-netdev",
	                     "id=tandem7,type=tap", "-netdev", "user,id=tandem", "-netdev",
	                     "user,id=tandem70", "-netdev", "user,id=tandem8", "-object",
	                     "memory-backend-file,id=tandem-ram,size=1G", "-drive",
	                     "if=none,id=tandemdisk", "-device", "x,drive=tandemdisk,id=tandem0"),
	               WORDS("qemu", "-netdev", "user,id=tandem", "-netdev", "user,id=tandem70",
	                     "-netdev", "user,id=tandem8", "-object",
	                     "memory-backend-file,id=tandem-ram,size=1G", "-drive",
	                     "if=none,id=tandemdisk", "-device", "x,drive=tandemdisk,id=tandem0"));
}

Test(arguments, an_option_without_a_value_takes_none_of_the_next)
{
	expect_derived(WORDS("qemu", "-s", "-S", "-mem-prealloc", "-daemonize", "-m", "1G"),
	               WORDS("qemu", "-s", "-mem-prealloc", "-m", "1G"));
}

Test(arguments, of_too_many_words_the_first_are_there)
{
	const char *got[4];

	cr_expect_eq(tandem_qemu_arguments_derive(WORDS("q", "-m", "1", "-smp", "2", "-cpu", "x"),
	                                          NULL, 0, got, 4),
	             3);
	cr_expect_null(got[3]);
}

Test(arguments, only_what_the_state_depends_on_has_to_be_alike)
{
	struct tandem_qemu_difference difference;

	cr_expect(!tandem_qemu_arguments_differ(
	        WORDS("a", "-M", "pc", "-m", "1G", "-serial", "file:a", "-device", "x"),
	        WORDS("b", "-L", "/f", "-machine", "pc", "-m", "1G", "-device", "x", "-serial",
	              "s"),
	        &difference));
	cr_expect(tandem_qemu_arguments_differ(WORDS("q", "-device", "x", "-device", "y"),
	                                       WORDS("q", "-device", "x", "-device", "z"),
	                                       &difference));
	cr_expect_str_eq(difference.option, "device");
	cr_expect_str_eq(difference.seen, "y");
	cr_expect_str_eq(difference.needed, "z");
	cr_expect(tandem_qemu_arguments_differ(WORDS("q", "-m", "1G"),
	                                       WORDS("q", "-m", "1G", "-usb"), &difference));
	cr_expect_str_eq(difference.option, "usb");
	cr_expect(tandem_qemu_arguments_differ(WORDS("q", "-m", "1G", "-vga", "std"),
	                                       WORDS("q", "-m", "1G"), &difference));
	cr_expect_str_eq(difference.option, "vga");
	cr_expect_str_eq(difference.seen, "std");
	cr_expect_str_eq(difference.needed, "");
}

static const char *machine_of(char *const *words)
{
	static char machine[TANDEM_QEMU_MACHINE_BYTES];

	tandem_qemu_arguments_machine(words, machine);
	return machine;
}

Test(arguments, the_type_of_the_machine_is_found_wherever_it_is_said)
{
	cr_expect_str_eq(machine_of(WORDS("q", "-m", "1G")), "");
	cr_expect_str_eq(machine_of(WORDS("q", "-M", "q35")), "q35");
	cr_expect_str_eq(machine_of(WORDS("q", "-machine", "pc,memory-backend=ram")), "pc");
	cr_expect_str_eq(machine_of(WORDS("q", "-machine", "usb=off,type=pc-q35-7.2,x=1")),
	                 "pc-q35-7.2");
	cr_expect_str_eq(machine_of(WORDS("q", "-machine", "pc", "-machine", "memory-backend=a")),
	                 "pc");
	cr_expect_str_eq(machine_of(WORDS("q", "-append", "-machine", "-M", "q35")), "q35");
	cr_expect_str_eq(machine_of(WORDS("q", "-machine", ",")), "");
	cr_expect_str_eq(machine_of(WORDS("q", "-machine", "subtype=x")), "");
	cr_expect_str_eq(machine_of(WORDS("q", "-machine",
	                                  "a-name-of-more-characters-than-any-machine-of-qemu-has-"
	                                  "or-will-have-in-our-time")),
	                 "");
}

Test(arguments, the_program_is_found_behind_what_starts_it)
{
	cr_expect_eq(tandem_qemu_arguments_program(WORDS("/usr/bin/qemu-system-x86_64", "-S")), 0);
	cr_expect_eq(tandem_qemu_arguments_program(WORDS("taskset", "1", "qemu-kvm", "-S")), 2);
	cr_expect_eq(tandem_qemu_arguments_program(WORDS("/opt/vm", "-m", "1G")), 0);
	cr_expect_eq(tandem_qemu_arguments_program(WORDS("taskset", "1", "kvm", "-m", "1G")), 2);
}

Test(arguments, what_only_has_a_name_like_qemus_is_not_its_program)
{
	cr_expect_eq(
	        tandem_qemu_arguments_program(WORDS("sudo", "-u", "qemu", "qemu-system-x86_64")),
	        3);
	cr_expect_eq(tandem_qemu_arguments_program(
	                     WORDS("sudo", "-u", "kvm", "/opt/qemu-11/bin/qemu-system-x86_64")),
	             3);
	cr_expect_eq(tandem_qemu_arguments_program(
	                     WORDS("ip", "netns", "exec", "qemu1", "qemu-system-x86_64", "-S")),
	             4);
	cr_expect_eq(tandem_qemu_arguments_program(WORDS("chroot", "/srv/qemu", "qemu-kvm")), 2);
	cr_expect_eq(tandem_qemu_arguments_program(WORDS("env", "X=/opt/qemu-system-x86_64",
	                                                 "qemu-system-x86_64", "-m", "1G")),
	             2);
	cr_expect_eq(tandem_qemu_arguments_program(WORDS("kvm", "-drive", "file=/srv/qemu-1.img")),
	             0);
	cr_expect_eq(tandem_qemu_arguments_program(WORDS("kvm", "-hda", "/srv/qemu-system-1.img")),
	             0);
	cr_expect_eq(tandem_qemu_arguments_program(WORDS("/opt/vm", "-hda", "/srv/kvm")), 0);
	cr_expect_eq(tandem_qemu_arguments_program(WORDS("/opt/vm", "-name", "qemu-kvm")), 0);
	cr_expect_eq(tandem_qemu_arguments_program(
	                     WORDS("sh", "-c", "/usr/bin/qemu-system-x86_64 \"$@\"", "qemu-kvm")),
	             3);
}
