#include <tandem/qemu_network.h>

#include <string.h>

#define NAME  "tandem"
#define INDEX ": index="
#define TYPE  ",type="

/* A line in parts; none is ended by a zero. */
struct client {
	const char *name;
	size_t name_bytes;
	const char *type;
	size_t type_bytes;
	const char *details; /* to the end of the line */
	size_t details_bytes;
};

static const char *find(const char *from, const char *end, const char *what)
{
	const size_t length = strlen(what);

	for (; (size_t)(end - from) >= length; from++) {
		if (memcmp(from, what, length) == 0)
			return from;
	}
	return NULL;
}

/* "NAME: index=0,type=TYPE,DETAILS", behind " \ " when it is a card's other end. False: the line
 * tells of something else. */
static bool take(const char *line, const char *end, struct client *ret_client)
{
	while (line < end && (*line == ' ' || *line == '\\'))
		line++;
	const char *index = find(line, end, INDEX);
	const char *type = index ? find(index, end, TYPE) : NULL;
	if (!type)
		return false;
	type += strlen(TYPE);
	const char *comma = find(type, end, ",");
	*ret_client = (struct client){.name = line,
	                              .name_bytes = (size_t)(index - line),
	                              .type = type,
	                              .type_bytes = (size_t)((comma ? comma : end) - type),
	                              .details = comma ? comma : end,
	                              .details_bytes = (size_t)(end - (comma ? comma : end))};
	return true;
}

static bool equals(const char *bytes, size_t length, const char *text)
{
	return length == strlen(text) && memcmp(bytes, text, length) == 0;
}

static bool is_end(const struct client *client, const struct tandem_qemu_network_end *ends,
                   unsigned end_count)
{
	const size_t prefix = strlen(NAME);
	const char *details = client->details;

	if (client->name_bytes != prefix + 1 || memcmp(client->name, NAME, prefix) != 0 ||
	    client->name[prefix] < '0' || client->name[prefix] > '9')
		return false;
	const unsigned number = (unsigned)(client->name[prefix] - '0');
	return number < end_count && equals(client->type, client->type_bytes, ends[number].type) &&
	       find(details, details + client->details_bytes, ends[number].details) != NULL;
}

bool tandem_qemu_network_has_other(const char *text, const struct tandem_qemu_network_end *ends,
                                   unsigned end_count, char *ret_name, size_t name_bytes)
{
	while (*text != 0) {
		const char *end = text + strcspn(text, "\r\n");
		struct client client;

		if (take(text, end, &client) && !equals(client.type, client.type_bytes, "nic") &&
		    !is_end(&client, ends, end_count)) {
			const size_t length = (size_t)(end - client.name);
			const size_t kept = length < name_bytes ? length : name_bytes - 1;

			memcpy(ret_name, client.name, kept);
			ret_name[kept] = 0;
			return true;
		}
		text = *end != 0 ? end + 1 : end;
	}
	return false;
}
