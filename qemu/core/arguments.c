#include <tandem/qemu_arguments.h>

#include <string.h>

/* Options that take no value; all others of QEMU take one. */
static const char *const flags[] = {
        "S",
        "s",
        "daemonize",
        "nodefaults",
        "no-user-config",
        "nographic",
        "snapshot",
        "enable-kvm",
        "usb",
        "no-reboot",
        "no-shutdown",
        "no-acpi",
        "no-hpet",
        "only-migratable",
        "full-screen",
        "no-fd-bootchk",
        "win2k-hack",
        "preconfig",
        "mem-prealloc",
        "semihosting",
        "singlestep",
        "enable-fips",
        "enable-sync-profile",
        "xen-attach",
        "xen-domid-restrict",
        "old-param",
        "no-quit",
        "alt-grab",
        "ctrl-grab",
};

/* What the guest's state depends on. */
static const char *const identities[] = {
        "machine", "M",      "cpu", "m",     "smp", "device", "drive",      "hda",
        "hdb",     "hdc",    "hdd", "cdrom", "fda", "fdb",    "vga",        "bios",
        "numa",    "global", "nic", "net",   "usb", "pflash", "nodefaults", "rtc",
};

/* How that QEMU was started. */
static const char *const own[] = {"S", "daemonize", "incoming", "pidfile"};

static bool is_among(const char *name, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(name, list[i]) == 0)
			return true;
	}
	return false;
}

#define AMONG(name, list) is_among(name, list, sizeof(list) / sizeof((list)[0]))

/* The option's name without dashes; NULL: the word is none. */
static const char *option_of(const char *word)
{
	return word[0] == '-' && word[1] != 0 ? word + strspn(word, "-") : NULL;
}

/* NULL: it has none. */
static const char *value_of(char *const *word, const char *name)
{
	return AMONG(name, flags) ? NULL : word[1];
}

static bool has_part(const char *value, const char *part)
{
	return value && strstr(value, part) != NULL;
}

/* The other end of a gate: tandem0 to tandem7. */
static bool is_card(const char *value)
{
	static const char id[] = "id=tandem";
	const char *at = value;

	for (; at && (at = strstr(at, id)); at++) {
		const char *number = at + strlen(id);

		if ((at == value || at[-1] == ',') && *number >= '0' && *number <= '7' &&
		    (number[1] == ',' || number[1] == 0))
			return true;
	}
	return false;
}

/* Tandem's control sockets, and the networks that are gates. */
static bool is_given_by_tandem(const char *name, const char *value)
{
	return (strcmp(name, "netdev") == 0 && is_card(value)) ||
	       (strcmp(name, "chardev") == 0 && has_part(value, "id=tandem-")) ||
	       (strcmp(name, "mon") == 0 && has_part(value, "chardev=tandem-"));
}

static bool is_left_out(const char *name, const char *value, const char *const *sockets,
                        size_t socket_count)
{
	if (AMONG(name, own) || is_given_by_tandem(name, value))
		return true;
	for (size_t i = 0; i < socket_count; i++) {
		if (strcmp(name, "qmp") == 0 && has_part(value, sockets[i]))
			return true;
	}
	return false;
}

size_t tandem_qemu_arguments_derive(char *const *words, const char *const *sockets,
                                    size_t socket_count, const char **ret_words, size_t words_max)
{
	size_t count = 0;

	while (*words && count + 2 < words_max) {
		const char *name = option_of(*words);
		const char *value = name ? value_of(words, name) : NULL;

		if (!name || !is_left_out(name, value, sockets, socket_count)) {
			ret_words[count++] = *words;
			if (value)
				ret_words[count++] = value;
		}
		words += value ? 2 : 1;
	}
	ret_words[count] = NULL;
	return count;
}

/* The next option that matters, from *words on; NULL: there is none. */
static const char *next_identity(char *const **words, const char **ret_value)
{
	while (**words) {
		const char *name = option_of(**words);
		const char *value = name ? value_of(*words, name) : NULL;

		*words += value ? 2 : 1;
		if (name && AMONG(name, identities)) {
			*ret_value = value ? value : "";
			return name;
		}
	}
	*ret_value = "";
	return NULL;
}

static bool is_same_name(const char *one, const char *other)
{
	return one && other &&
	       (strcmp(one, other) == 0 ||
	        ((strcmp(one, "M") == 0 || strcmp(one, "machine") == 0) &&
	         (strcmp(other, "M") == 0 || strcmp(other, "machine") == 0)));
}

static const char *base_of(const char *word)
{
	const char *slash = strrchr(word, '/');

	return slash ? slash + 1 : word;
}

/* A variable and a shell's script are none. "kvm" is also the name of a group or of a network
 * namespace, which the others are hardly. */
static bool is_emulator(const char *word, bool may_be_kvm)
{
	static const char begin[] = "qemu-system-";
	const char *name = base_of(word);

	return word[strcspn(word, "= \n")] == 0 &&
	       (strncmp(name, begin, strlen(begin)) == 0 || strcmp(name, "qemu-kvm") == 0 ||
	        (may_be_kvm && strcmp(name, "kvm") == 0));
}

/* Where QEMU's options have begun its program is behind: long ones with one dash are its own. */
static bool is_behind(const char *word)
{
	return word[0] == '-' && strlen(word) > 3 &&
	       (AMONG(word + 1, identities) || strcmp(word, "-name") == 0);
}

static size_t find_emulator(char *const *words, bool may_be_kvm)
{
	for (size_t i = 0; words[i] && !is_behind(words[i]); i++) {
		if (is_emulator(words[i], may_be_kvm))
			return i;
	}
	return 0;
}

size_t tandem_qemu_arguments_program(char *const *words)
{
	if (!words[0] || is_emulator(words[0], true))
		return 0;
	const size_t first = find_emulator(words, false);
	return first > 0 ? first : find_emulator(words, true);
}

/* "type=pc,usb=off", "usb=off,type=pc" or "pc,usb=off". NULL: it names none. */
static const char *type_of(const char *value)
{
	static const char key[] = "type=";
	const size_t first = strcspn(value, ",");

	if (memchr(value, '=', first) == NULL)
		return first > 0 ? value : NULL;
	for (const char *part = value; part; part = strchr(part, ',')) {
		part += *part == ',';
		if (strncmp(part, key, strlen(key)) == 0)
			return part + strlen(key);
	}
	return NULL;
}

void tandem_qemu_arguments_machine(char *const *words, char ret_machine[TANDEM_QEMU_MACHINE_BYTES])
{
	const char *name, *value, *type;

	ret_machine[0] = 0;
	while ((name = next_identity(&words, &value))) {
		type = is_same_name(name, "machine") ? type_of(value) : NULL;
		const size_t length = type ? strcspn(type, ",") : 0;
		if (length == 0 || length >= TANDEM_QEMU_MACHINE_BYTES)
			continue;
		memcpy(ret_machine, type, length);
		ret_machine[length] = 0;
	}
}

bool tandem_qemu_arguments_differ(char *const *seen, char *const *needed,
                                  struct tandem_qemu_difference *ret_difference)
{
	const char *name, *other, *value, *other_value;

	do {
		name = next_identity(&seen, &value);
		other = next_identity(&needed, &other_value);
	} while (is_same_name(name, other) && strcmp(value, other_value) == 0);
	if (!name && !other)
		return false;
	*ret_difference = (struct tandem_qemu_difference){
	        .option = other ? other : name,
	        .seen = name && (!other || is_same_name(name, other)) ? value : "",
	        .needed = other_value,
	};
	return true;
}
