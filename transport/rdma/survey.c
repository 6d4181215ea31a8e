#include <tandem/survey.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <rdma/rdma_cma.h>

#include "rdma/cm_event.h"
#include "rdma/device.h"
#include "rdma/verbs.h"

static const char *type_text(uint32_t type)
{
	switch (type) {
	case IBV_GID_TYPE_IB:
		return "InfiniBand";
	case IBV_GID_TYPE_ROCE_V1:
		return "RoCE v1";
	case IBV_GID_TYPE_ROCE_V2:
		return "RoCE v2";
	default:
		return "unknown";
	}
}

static const char *link_layer_text(uint8_t link_layer)
{
	switch (link_layer) {
	case IBV_LINK_LAYER_INFINIBAND:
		return "InfiniBand";
	case IBV_LINK_LAYER_ETHERNET:
		return "Ethernet";
	default:
		return "unspecified";
	}
}

static void gid_text(const uint8_t raw[16], char *text, size_t text_bytes)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	text[0] = '\0';
	if (memcmp(raw, mapped, sizeof(mapped)) == 0)
		inet_ntop(AF_INET, raw + sizeof(mapped), text, (socklen_t)text_bytes);
	else
		inet_ntop(AF_INET6, raw, text, (socklen_t)text_bytes);
}

static void take_gid(const struct ibv_gid_entry *entry, struct tandem_survey_gid *gid)
{
	char name[IF_NAMESIZE] = "";

	gid->index = entry->gid_index;
	memcpy(gid->raw, entry->gid.raw, sizeof(gid->raw));
	snprintf(gid->type, sizeof(gid->type), "%s", type_text(entry->gid_type));
	gid_text(gid->raw, gid->text, sizeof(gid->text));
	if (entry->ndev_ifindex != 0 && if_indextoname(entry->ndev_ifindex, name) != NULL)
		snprintf(gid->netdev, sizeof(gid->netdev), "%s", name);
}

static void list_gids(struct ibv_context *context, int table_length,
                      struct tandem_survey_port *port)
{
	for (int i = 0; i < table_length && port->gid_count < TANDEM_SURVEY_GIDS_MAX; i++) {
		struct ibv_gid_entry entry;

		/* An empty place of the table gives ENODATA. */
		if (ibv_query_gid_ex(context, port->number, (uint32_t)i, &entry, 0) == 0)
			take_gid(&entry, &port->gids[port->gid_count++]);
	}
}

static void take_port(struct ibv_context *context, unsigned number,
                      struct tandem_survey_device *device)
{
	struct tandem_survey_port *port = &device->ports[device->port_count];
	struct ibv_port_attr attributes;

	if (tandem_rdma_errno_of(ibv_query_port(context, (uint8_t)number, &attributes)) != 0)
		return;
	device->port_count++;
	port->number = number;
	port->is_active = attributes.state == IBV_PORT_ACTIVE;
	snprintf(port->state, sizeof(port->state), "%s", ibv_port_state_str(attributes.state));
	snprintf(port->link_layer, sizeof(port->link_layer), "%s",
	         link_layer_text(attributes.link_layer));
	port->active_mtu = tandem_rdma_mtu_bytes(attributes.active_mtu);
	port->max_mtu = tandem_rdma_mtu_bytes(attributes.max_mtu);
	list_gids(context, attributes.gid_tbl_len, port);
}

static void take_device(struct ibv_context *context, struct tandem_survey *survey)
{
	struct tandem_survey_device *device = &survey->devices[survey->device_count];
	struct tandem_rdma_device known = {.context = context};

	if (tandem_rdma_errno_of(ibv_query_device(context, &known.limits)) != 0)
		return;
	survey->device_count++;
	snprintf(device->name, sizeof(device->name), "%s", ibv_get_device_name(context->device));
	device->is_soft = tandem_rdma_device_is_soft(&known);
	for (unsigned number = 1; number <= known.limits.phys_port_cnt; number++) {
		if (device->port_count < TANDEM_SURVEY_PORTS_MAX)
			take_port(context, number, device);
	}
}

int tandem_survey_run(struct tandem_survey *ret_survey, struct tandem_error *reterr_error)
{
	struct rdma_event_channel *channel;
	struct ibv_context **contexts;
	int count = 0;
	/* Says clearly where the kernel has no RDMA at all. */
	int rc = tandem_rdma_cm_channel_new(&channel, reterr_error);

	if (rc != 0)
		return rc;
	rdma_destroy_event_channel(channel);
	memset(ret_survey, 0, sizeof(*ret_survey));
	contexts = rdma_get_devices(&count);
	for (int i = 0; i < count && ret_survey->device_count < TANDEM_SURVEY_DEVICES_MAX; i++)
		take_device(contexts[i], ret_survey);
	if (contexts != NULL)
		rdma_free_devices(contexts);
	return 0;
}

/* Of the port's GIDs with these bytes the RoCE v2 one: that is what travels through routers, and
 * what the connection manager takes. */
static const struct tandem_survey_gid *find_gid(const struct tandem_survey_port *port,
                                                const uint8_t raw[16])
{
	const struct tandem_survey_gid *found = NULL;

	for (unsigned i = 0; i < port->gid_count; i++) {
		const struct tandem_survey_gid *gid = &port->gids[i];

		if (memcmp(gid->raw, raw, sizeof(gid->raw)) != 0)
			continue;
		if (found == NULL || strcmp(gid->type, type_text(IBV_GID_TYPE_ROCE_V2)) == 0)
			found = gid;
	}
	return found;
}

static const struct tandem_survey_port *find_port(const struct tandem_survey *survey,
                                                  const char *device, unsigned number)
{
	for (unsigned i = 0; i < survey->device_count; i++) {
		const struct tandem_survey_device *one = &survey->devices[i];

		for (unsigned j = 0; j < one->port_count && strcmp(one->name, device) == 0; j++) {
			if (one->ports[j].number == number)
				return &one->ports[j];
		}
	}
	return NULL;
}

int tandem_survey_choose(const struct tandem_survey *survey, const char *address,
                         struct tandem_survey_choice *ret_choice, struct tandem_error *reterr_error)
{
	struct tandem_survey_choice choice = {.gid_index = -1};
	const struct tandem_survey_gid *gid = NULL;
	const struct tandem_survey_port *port;
	struct tandem_rdma_device device;
	union ibv_gid wanted;
	int rc = tandem_rdma_device_find(address, &device, &wanted, reterr_error);

	if (rc != 0)
		return rc;
	snprintf(choice.device, sizeof(choice.device), "%s",
	         ibv_get_device_name(device.context->device));
	choice.port = device.port;
	port = find_port(survey, choice.device, choice.port);
	if (port != NULL)
		gid = find_gid(port, wanted.raw);
	if (gid != NULL) {
		choice.gid_index = (int)gid->index;
		choice.gid = *gid;
	}
	*ret_choice = choice;
	return 0;
}
