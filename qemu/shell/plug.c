#include <tandem/qemu_plug.h>

#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/act/mirred.h>
#include <netlink/route/classifier.h>
#include <netlink/route/cls/matchall.h>
#include <netlink/route/link.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/qdisc/plug.h>
#include <netlink/route/tc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <tandem/memory.h>

#define PLUG_HANDLE     TC_HANDLE(1, 0)
#define INGRESS_HANDLE  TC_HANDLE(0xffff, 0)
#define FILTER_PRIORITY 1
#define ROOM_BYTES_MAX  INT32_MAX

struct tandem_qemu_plug {
	struct nl_sock *socket;
	int tap;
	int queue; /* the interface whose queue holds */
	char queue_name[IFNAMSIZ];
	bool is_led; /* what comes from the tap goes there */
	bool is_open;
	bool has_mark;   /* that waits */
	uint64_t ticket; /* that lets go what is marked; 0: none does yet */
	uint64_t fault_count;
};

static int fail(const char *what, int status, struct tandem_error *reterr_error)
{
	return tandem_error_set(reterr_error,
	                        status == -NLE_NOMEM ? TANDEM_E_MEMORY : TANDEM_E_SYSTEM, "gate",
	                        "the kernel refuses %s: %s; needed are CAP_NET_ADMIN and its "
	                        "modules ifb, sch_plug, sch_ingress, act_mirred, cls_matchall",
	                        what, nl_geterror(status));
}

/* ---- the queue ---- */

/* NULL: no memory. */
static struct rtnl_qdisc *queue_of(const struct tandem_qemu_plug *plug)
{
	struct rtnl_qdisc *queue = rtnl_qdisc_alloc();

	if (!queue)
		return NULL;
	rtnl_tc_set_ifindex(TC_CAST(queue), plug->queue);
	rtnl_tc_set_parent(TC_CAST(queue), TC_H_ROOT);
	rtnl_tc_set_handle(TC_CAST(queue), PLUG_HANDLE);
	if (rtnl_tc_set_kind(TC_CAST(queue), "plug") == 0)
		return queue;
	rtnl_qdisc_put(queue);
	return NULL;
}

/* Tells the queue one thing. */
static int order(const struct tandem_qemu_plug *plug, int (*what)(struct rtnl_qdisc *))
{
	struct rtnl_qdisc *queue = queue_of(plug);
	int status;

	if (!queue)
		return -NLE_NOMEM;
	status = what(queue);
	if (status == 0)
		status = rtnl_qdisc_add(plug->socket, queue, 0);
	rtnl_qdisc_put(queue);
	return status;
}

static int make_queue(const struct tandem_qemu_plug *plug, size_t room_bytes)
{
	const int limit = (int)(room_bytes < ROOM_BYTES_MAX ? room_bytes : ROOM_BYTES_MAX);
	struct rtnl_qdisc *queue = queue_of(plug);
	int status;

	if (!queue)
		return -NLE_NOMEM;
	status = rtnl_qdisc_plug_set_limit(queue, limit);
	if (status == 0)
		status = rtnl_qdisc_add(plug->socket, queue, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_qdisc_put(queue);
	return status;
}

/* ---- the interface ---- */

static int remove_interface(const struct tandem_qemu_plug *plug)
{
	struct rtnl_link *link = rtnl_link_alloc();
	int status;

	if (!link)
		return -NLE_NOMEM;
	rtnl_link_set_name(link, plug->queue_name);
	status = rtnl_link_delete(plug->socket, link);
	rtnl_link_put(link);
	return status;
}

static int make_interface(struct tandem_qemu_plug *plug)
{
	struct rtnl_link *link = rtnl_link_alloc();
	int status;

	if (!link)
		return -NLE_NOMEM;
	rtnl_link_set_name(link, plug->queue_name);
	rtnl_link_set_flags(link, IFF_UP);
	status = rtnl_link_set_type(link, "ifb");
	if (status == 0)
		status = rtnl_link_add(plug->socket, link, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_link_put(link);
	if (status == 0)
		plug->queue = (int)if_nametoindex(plug->queue_name);
	return status;
}

/* ---- the way from the tap to there ---- */

static struct rtnl_qdisc *ingress_of(const struct tandem_qemu_plug *plug)
{
	struct rtnl_qdisc *ingress = rtnl_qdisc_alloc();

	if (!ingress)
		return NULL;
	rtnl_tc_set_ifindex(TC_CAST(ingress), plug->tap);
	rtnl_tc_set_parent(TC_CAST(ingress), TC_H_INGRESS);
	rtnl_tc_set_handle(TC_CAST(ingress), INGRESS_HANDLE);
	if (rtnl_tc_set_kind(TC_CAST(ingress), "ingress") == 0)
		return ingress;
	rtnl_qdisc_put(ingress);
	return NULL;
}

static int remove_way(const struct tandem_qemu_plug *plug)
{
	struct rtnl_qdisc *ingress = ingress_of(plug);
	int status;

	if (!ingress)
		return -NLE_NOMEM;
	status = rtnl_qdisc_delete(plug->socket, ingress);
	rtnl_qdisc_put(ingress);
	return status;
}

static int make_ingress(const struct tandem_qemu_plug *plug)
{
	struct rtnl_qdisc *ingress = ingress_of(plug);
	int status;

	if (!ingress)
		return -NLE_NOMEM;
	status = rtnl_qdisc_add(plug->socket, ingress, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_qdisc_put(ingress);
	return status;
}

/* NULL: no memory. */
static struct rtnl_act *redirection_to(int interface)
{
	struct rtnl_act *action = rtnl_act_alloc();

	if (!action)
		return NULL;
	if (rtnl_tc_set_kind(TC_CAST(action), "mirred") == 0 &&
	    rtnl_mirred_set_action(action, TCA_EGRESS_REDIR) == 0 &&
	    rtnl_mirred_set_policy(action, TC_ACT_STOLEN) == 0 &&
	    rtnl_mirred_set_ifindex(action, (uint32_t)interface) == 0)
		return action;
	rtnl_act_put(action);
	return NULL;
}

static int make_filter(const struct tandem_qemu_plug *plug)
{
	struct rtnl_cls *filter = rtnl_cls_alloc();
	struct rtnl_act *action = redirection_to(plug->queue);
	int status = filter && action ? 0 : -NLE_NOMEM;

	if (status == 0) {
		rtnl_tc_set_ifindex(TC_CAST(filter), plug->tap);
		rtnl_tc_set_parent(TC_CAST(filter), INGRESS_HANDLE);
		rtnl_cls_set_prio(filter, FILTER_PRIORITY);
		rtnl_cls_set_protocol(filter, ETH_P_ALL);
		status = rtnl_tc_set_kind(TC_CAST(filter), "matchall");
	}
	if (status == 0)
		status = rtnl_mall_append_action(filter, action);
	if (status == 0)
		status = rtnl_cls_add(plug->socket, filter, NLM_F_CREATE | NLM_F_EXCL);
	if (action)
		rtnl_act_put(action);
	if (filter)
		rtnl_cls_put(filter);
	return status;
}

/* ---- the gate ---- */

static int find_tap(struct tandem_qemu_plug *plug, const char *name,
                    struct tandem_error *reterr_error)
{
	plug->tap = strlen(name) < IFNAMSIZ ? (int)if_nametoindex(name) : 0;
	if (plug->tap == 0)
		return tandem_error_set(reterr_error, TANDEM_E_CONFIG, "gate",
		                        "there is no interface %.60s; make it, for instance: "
		                        "ip tuntap add %.60s mode tap user USER; "
		                        "ip link set %.60s master BRIDGE up",
		                        name, name, name);
	snprintf(plug->queue_name, sizeof(plug->queue_name), "tandem%d", plug->tap);
	return 0;
}

/* The queue first: from when the way leads to it, nothing passes by. */
static int make_all(struct tandem_qemu_plug *plug, size_t room_bytes,
                    struct tandem_error *reterr_error)
{
	int status = make_interface(plug);

	if (status != 0)
		return fail("an interface of the kind ifb", status, reterr_error);
	status = make_queue(plug, room_bytes);
	if (status != 0)
		return fail("a queue of the kind plug", status, reterr_error);
	status = make_ingress(plug);
	if (status != 0)
		return fail("the tap an ingress queue (one that is there goes with 'tc qdisc del "
		            "dev TAP ingress')",
		            status, reterr_error);
	plug->is_led = true;
	status = make_filter(plug);
	if (status != 0)
		return fail("to lead what comes from the tap to that queue", status, reterr_error);
	return 0;
}

int tandem_qemu_plug_open(const struct tandem_qemu_plug_options *options,
                          struct tandem_qemu_plug **ret_plug, struct tandem_error *reterr_error)
{
	struct tandem_qemu_plug *plug = tandem_memory_alloc(sizeof(*plug));
	int status;

	if (!plug)
		return tandem_error_set(reterr_error, TANDEM_E_MEMORY, "gate", "no memory");
	status = find_tap(plug, options->interface, reterr_error);
	if (status == 0) {
		plug->socket = nl_socket_alloc();
		status = plug->socket ? nl_connect(plug->socket, NETLINK_ROUTE) : -NLE_NOMEM;
		if (status != 0)
			status = fail("a netlink socket", status, reterr_error);
	}
	if (status == 0) {
		if (remove_interface(plug) == 0) /* a killed program left it */
			(void)remove_way(plug);
		status = make_all(plug, options->room_bytes, reterr_error);
	}
	if (status == 0)
		*ret_plug = plug;
	else
		tandem_qemu_plug_close(plug);
	return status;
}

void tandem_qemu_plug_let(struct tandem_qemu_plug *plug)
{
	if (plug->is_open || plug->has_mark)
		return;
	if (order(plug, rtnl_qdisc_plug_release_indefinite) == 0)
		plug->is_open = true;
	else
		plug->fault_count++;
}

/* The kernel knows one mark: a second one would have it forget how much the first let go. */
int tandem_qemu_plug_mark(struct tandem_qemu_plug *plug, struct tandem_error *reterr_error)
{
	int status;

	if (plug->has_mark)
		return 0;
	status = order(plug, rtnl_qdisc_plug_buffer);
	if (status == 0) {
		plug->is_open = false;
		plug->has_mark = true;
		return 0;
	}
	plug->fault_count++;
	return plug->is_open ? fail("to hold what the guest sends", status, reterr_error) : 0;
}

/* One that an earlier epoch has made keeps that one's ticket. */
void tandem_qemu_plug_promise(struct tandem_qemu_plug *plug, uint64_t ticket)
{
	if (plug->has_mark && plug->ticket == 0)
		plug->ticket = ticket;
}

void tandem_qemu_plug_release(struct tandem_qemu_plug *plug, uint64_t released_ticket)
{
	if (plug->ticket == 0 || released_ticket < plug->ticket)
		return;
	if (order(plug, rtnl_qdisc_plug_release_one) != 0) {
		plug->fault_count++; /* the next time, then */
		return;
	}
	plug->has_mark = false;
	plug->ticket = 0;
}

void tandem_qemu_plug_count(struct tandem_qemu_plug *plug,
                            struct tandem_qemu_plug_counts *ret_counts)
{
	struct nl_cache *all = NULL;
	struct rtnl_qdisc *queue;

	*ret_counts = (struct tandem_qemu_plug_counts){.dropped_count = 0};
	if (rtnl_qdisc_alloc_cache(plug->socket, &all) != 0)
		return;
	queue = rtnl_qdisc_get(all, plug->queue, PLUG_HANDLE);
	if (queue) {
		ret_counts->dropped_count = rtnl_tc_get_stat(TC_CAST(queue), RTNL_TC_DROPS);
		ret_counts->held_bytes = rtnl_tc_get_stat(TC_CAST(queue), RTNL_TC_BACKLOG);
		rtnl_qdisc_put(queue);
	}
	nl_cache_free(all);
}

uint64_t tandem_qemu_plug_fault_count(const struct tandem_qemu_plug *plug)
{
	return plug->fault_count;
}

int tandem_qemu_plug_leave(struct tandem_qemu_plug *plug, struct tandem_error *reterr_error)
{
	int status = order(plug, rtnl_qdisc_plug_release_indefinite);

	if (status == 0)
		status = remove_way(plug);
	if (status != 0)
		return fail("to let what is held go", status, reterr_error);
	plug->is_led = false;
	return 0;
}

/* With the interface its queue goes; what is led to an interface that is gone is dropped. */
void tandem_qemu_plug_shut(struct tandem_qemu_plug *plug)
{
	if (plug->queue != 0 && remove_interface(plug) == 0)
		plug->queue = 0;
}

/* The tap is left as it was, and lets everything pass. */
void tandem_qemu_plug_close(struct tandem_qemu_plug *plug)
{
	if (!plug)
		return;
	tandem_qemu_plug_shut(plug);
	if (plug->is_led)
		(void)remove_way(plug);
	if (plug->socket)
		nl_socket_free(plug->socket);
	tandem_memory_free(plug);
}
