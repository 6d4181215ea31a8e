#include "machine.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool write_text(const char *path, const char *text)
{
	const int file = open(path, O_WRONLY | O_CLOEXEC);

	if (file < 0)
		return false;
	const ssize_t written = write(file, text, strlen(text));
	close(file);
	return written == (ssize_t)strlen(text);
}

bool machine_mount(void)
{
	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	return mount("devtmpfs", "/dev", "devtmpfs", 0, NULL) == 0 &&
	       mount("proc", "/proc", "proc", 0, NULL) == 0 &&
	       write_text("/proc/sys/vm/compact_unevictable_allowed", "0") &&
	       write_text("/proc/sys/vm/compaction_proactiveness", "0");
}

static bool load_module(const char *path)
{
	const int file = open(path, O_RDONLY | O_CLOEXEC);

	if (file < 0)
		return false;
	const long code = syscall(SYS_finit_module, file, "", 0);
	close(file);
	return code == 0;
}

bool machine_load_modules(char *failed, size_t length)
{
	char path[256];
	FILE *list = fopen("/modules", "r");

	if (!list) {
		snprintf(failed, length, "/modules");
		return false;
	}
	bool is_good = true;
	while (is_good && fgets(path, sizeof(path), list)) {
		path[strcspn(path, "\n")] = '\0';
		is_good = load_module(path);
		if (!is_good)
			snprintf(failed, length, "%s", path);
	}
	fclose(list);
	return is_good;
}

static void set_ipv4(struct sockaddr *address, uint32_t value)
{
	struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(value)};

	memcpy(address, &ipv4, sizeof(ipv4));
}

static bool parse_address(const char *text, uint32_t *ret_address, uint32_t *ret_mask)
{
	char copy[32];
	struct in_addr parsed;

	snprintf(copy, sizeof(copy), "%s", text);
	char *slash = strchr(copy, '/');
	const long bits = slash ? strtol(slash + 1, NULL, 10) : 0;
	if (bits < 1 || bits > 31)
		return false;
	*slash = '\0';
	if (inet_pton(AF_INET, copy, &parsed) != 1)
		return false;
	*ret_address = ntohl(parsed.s_addr);
	*ret_mask = UINT32_MAX << (32 - bits);
	return true;
}

bool machine_set_address(const char *text)
{
	struct ifreq request = {.ifr_name = MACHINE_CARD};
	uint32_t address, mask;
	const int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (control < 0 || !parse_address(text, &address, &mask))
		return false;
	set_ipv4(&request.ifr_addr, address);
	bool is_good = ioctl(control, SIOCSIFADDR, &request) == 0;
	set_ipv4(&request.ifr_netmask, mask);
	is_good = is_good && ioctl(control, SIOCSIFNETMASK, &request) == 0;
	set_ipv4(&request.ifr_broadaddr, address | ~mask);
	is_good = is_good && ioctl(control, SIOCSIFBRDADDR, &request) == 0;
	request.ifr_flags = IFF_UP | IFF_BROADCAST;
	is_good = is_good && ioctl(control, SIOCSIFFLAGS, &request) == 0;
	close(control);
	return is_good;
}

static void end_machine(int how)
{
	reboot(how);
	for (;;)
		pause();
}

void machine_reboot(void)
{
	end_machine(RB_AUTOBOOT);
}

void machine_power_off(void)
{
	end_machine(RB_POWER_OFF);
}
