#include "shell/reader.h"

#include <string.h>

/* One address and port of a node; `group` and `key` say where the file has it. */
struct endpoint {
	const config_setting_t *group;
	const char *address;
	uint16_t port;
};

#define ENDPOINTS_MAX                                                                              \
	(TANDEM_CONFIG_NODES_MAX * (1 + TANDEM_CONFIG_RAILS_MAX + TANDEM_CONFIG_HEARTBEATS_MAX))

static const config_setting_t *node_setting(const struct tandem_config_reader *reader, size_t index)
{
	return config_setting_get_elem(config_lookup(reader->tree, "nodes"), (unsigned)index);
}

static unsigned line_of(const config_setting_t *group, const char *key)
{
	const config_setting_t *member = config_setting_get_member(group, key);
	return config_setting_source_line(member ? member : group);
}

static void check_name(struct tandem_config_reader *reader, size_t index)
{
	const struct tandem_config_node *nodes = reader->config->nodes;
	for (size_t i = 0; i < index; i++) {
		if (nodes[index].name[0] == '\0' || strcmp(nodes[i].name, nodes[index].name) != 0)
			continue;
		tandem_config_mistake_in(reader, node_setting(reader, index), "name",
		                         "\"%s\" is the node of line %u already", nodes[index].name,
		                         line_of(node_setting(reader, i), "name"));
		return;
	}
}

static void check_directory(struct tandem_config_reader *reader, size_t first, size_t second,
                            const char *key, const char *first_path, const char *second_path)
{
	if (second_path[0] == '\0' || strcmp(first_path, second_path) != 0)
		return;
	tandem_config_mistake_in(reader, node_setting(reader, second), key,
	                         "\"%s\" is also that of node \"%s\" on the same machine "
	                         "(address %s); give each its own",
	                         second_path, reader->config->nodes[first].name,
	                         reader->config->nodes[first].address);
}

static void check_same_machine(struct tandem_config_reader *reader, size_t index)
{
	const struct tandem_config_node *nodes = reader->config->nodes, *node = &nodes[index];
	for (size_t i = 0; i < index; i++) {
		if (node->address[0] == '\0' || strcmp(nodes[i].address, node->address) != 0)
			continue;
		check_directory(reader, i, index, "run_directory", nodes[i].run_directory,
		                node->run_directory);
		check_directory(reader, i, index, "image_directory", nodes[i].image_directory,
		                node->image_directory);
		return;
	}
}

static size_t endpoints_collect(const struct tandem_config_reader *reader,
                                struct endpoint *endpoints)
{
	size_t count = 0;
	for (size_t i = 0; i < reader->config->node_count; i++) {
		const struct tandem_config_node *node = &reader->config->nodes[i];
		const config_setting_t *setting = node_setting(reader, i);
		for (size_t j = 0; j < tandem_config_rail_count(node); j++)
			endpoints[count++] =
			        (struct endpoint){setting, tandem_config_rail(node, j), node->port};
		for (size_t j = 0; j < node->heartbeat_count; j++) {
			const config_setting_t *list =
			        config_setting_get_member(setting, "heartbeat");
			endpoints[count++] = (struct endpoint){
			        config_setting_get_elem(list, (unsigned)j),
			        node->heartbeats[j].address, node->heartbeats[j].port};
		}
	}
	return count;
}

/* TCP and UDP could share a number; one rule for both is easier to live with, in firewalls too. */
static void check_ports(struct tandem_config_reader *reader)
{
	struct endpoint endpoints[ENDPOINTS_MAX];
	size_t count = endpoints_collect(reader, endpoints);
	for (size_t i = 0; i < count; i++) {
		const struct endpoint *one = &endpoints[i];
		for (size_t j = 0; j < i; j++) {
			const struct endpoint *other = &endpoints[j];
			if (one->port == 0 || one->address[0] == '\0' || one->port != other->port ||
			    strcmp(one->address, other->address) != 0)
				continue;
			tandem_config_mistake_in(reader, one->group, "port",
			                         "%u of %s is taken by line %u already", one->port,
			                         one->address, line_of(other->group, "port"));
			break;
		}
	}
}

void tandem_config_check(struct tandem_config_reader *reader)
{
	for (size_t i = 0; i < reader->config->node_count; i++) {
		check_name(reader, i);
		check_same_machine(reader, i);
	}
	check_ports(reader);
	for (size_t i = 0; i < reader->config->pair_count; i++)
		tandem_config_check_pair(reader, i);
}
