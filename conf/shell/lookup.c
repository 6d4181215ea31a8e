#include <tandem/config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct tandem_config_node *node_find(const struct tandem_config *config,
                                                  const char *name)
{
	for (size_t i = 0; i < config->node_count; i++) {
		if (strcmp(config->nodes[i].name, name) == 0)
			return &config->nodes[i];
	}
	return NULL;
}

static void names_join(const struct tandem_config *config, char *text, size_t text_bytes)
{
	size_t length = 0;
	text[0] = '\0';
	for (size_t i = 0; i < config->node_count && length < text_bytes - 1; i++) {
		snprintf(text + length, text_bytes - length, "%s%s", i > 0 ? ", " : "",
		         config->nodes[i].name);
		length = strlen(text);
	}
}

static int node_unknown(const struct tandem_config *config, const char *name, bool is_host_name,
                        struct tandem_error *reterr_error)
{
	char names[128];
	names_join(config, names, sizeof(names));
	return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "node",
	                        "%s has no node \"%.64s\"%s; its nodes are: %s", config->path, name,
	                        is_host_name ? " (this machine's name; --node gives another)" : "",
	                        names);
}

int tandem_config_node(const struct tandem_config *config, const char *name,
                       const struct tandem_config_node **ret_node,
                       struct tandem_error *reterr_error)
{
	char host[256] = "";
	if (!name && gethostname(host, sizeof(host) - 1) < 0)
		return tandem_error_set_errno(reterr_error, TANDEM_E_CONFIG, errno, "gethostname",
		                              "this machine's name");
	const struct tandem_config_node *node = node_find(config, name ? name : host);
	if (!name && !node) {
		host[strcspn(host, ".")] = '\0';
		node = node_find(config, host);
	}
	if (!node)
		return node_unknown(config, name ? name : host, !name, reterr_error);
	*ret_node = node;
	return 0;
}

const struct tandem_config_pair *tandem_config_pair(const struct tandem_config *config,
                                                    const char *name)
{
	for (size_t i = 0; i < config->pair_count; i++) {
		if (strcmp(config->pairs[i].name, name) == 0)
			return &config->pairs[i];
	}
	return NULL;
}

size_t tandem_config_rail_count(const struct tandem_config_node *node)
{
	return 1 + node->rail_count;
}

const char *tandem_config_rail(const struct tandem_config_node *node, size_t index)
{
	return index == 0 ? node->address : node->rails[index - 1];
}

bool tandem_config_serves(const struct tandem_config_node *node,
                          const struct tandem_config_pair *pair)
{
	return strcmp(pair->nodes[0], node->name) == 0 || strcmp(pair->nodes[1], node->name) == 0;
}

const struct tandem_config_node *tandem_config_peer(const struct tandem_config *config,
                                                    const struct tandem_config_node *node,
                                                    const struct tandem_config_pair *pair)
{
	if (strcmp(pair->nodes[0], node->name) == 0)
		return node_find(config, pair->nodes[1]);
	if (strcmp(pair->nodes[1], node->name) == 0)
		return node_find(config, pair->nodes[0]);
	return NULL;
}
