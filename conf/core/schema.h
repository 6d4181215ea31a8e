#ifndef TANDEM_CONF_SCHEMA_H
#define TANDEM_CONF_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/config.h>

/* Every key of the configuration file, once. The reader, the unknown-key check, the limits, the
 * example and the reference table are all made from this list; there is no second one. */

/* Groups of keys, the struct that each fills and how messages call it. */
#define TANDEM_CONFIG_GROUP_TABLE(X)                                                               \
	X(ROOT, struct tandem_config, "the file")                                                  \
	X(NODE, struct tandem_config_node, "nodes")                                                \
	X(FENCE, struct tandem_config_fence, "fence")                                              \
	X(HEARTBEAT, struct tandem_config_heartbeat, "heartbeat")                                  \
	X(PAIR, struct tandem_config_pair, "pairs")                                                \
	X(ARBITER, struct tandem_config_arbiter, "arbiter")                                        \
	X(PROMOTE, struct tandem_config_promote, "promote")                                        \
	X(PROTECT, struct tandem_config_protect, "protect")                                        \
	X(HOOKS, struct tandem_config_hooks, "hooks")

enum tandem_config_group {
#define X(name, type, text) TANDEM_CONFIG_##name,
	TANDEM_CONFIG_GROUP_TABLE(X)
#undef X
	        TANDEM_CONFIG_GROUP_COUNT,
};

enum tandem_config_type {
	/* texts */
	TANDEM_CONFIG_NAME,      /* 1 to 31 of [a-z0-9_-] */
	TANDEM_CONFIG_ADDRESS,   /* numeric IPv4 or IPv6, one that others can reach */
	TANDEM_CONFIG_DIRECTORY, /* absolute path */
	TANDEM_CONFIG_COMMAND,   /* for /bin/sh -c */
	TANDEM_CONFIG_AGENT,     /* absolute path, or a name in /usr/sbin */
	TANDEM_CONFIG_WORDS,     /* "key=value key=value" */
	TANDEM_CONFIG_URL,       /* http://HOST:PORT or https://HOST:PORT */
	TANDEM_CONFIG_CHOICE,    /* one of the words in `choices` */
	/* numbers */
	TANDEM_CONFIG_NUMBER,
	TANDEM_CONFIG_BYTES,
	TANDEM_CONFIG_MICROSECONDS, /* kept as nanoseconds */
	TANDEM_CONFIG_MILLISECONDS, /* kept as nanoseconds */
	TANDEM_CONFIG_FLAG,         /* true or false */
	/* nested */
	TANDEM_CONFIG_NODE_PAIR, /* [ "a", "b" ] */
	TANDEM_CONFIG_ADDRESSES, /* [ "10.1.0.1", ... ] */
	TANDEM_CONFIG_URLS,      /* [ "http://10.0.0.3:2379", ... ] */
	TANDEM_CONFIG_ONE,       /* { ... } */
	TANDEM_CONFIG_LIST,      /* ( { ... }, ... ) */
};

/* TEXT(group, key, type, field, REQUIRED|OPTIONAL, default, choices, example 1, example 2, why)
 * NUMBER(group, key, type, field, REQUIRED|OPTIONAL, default, least, most, example 1, example 2,
 * why) NEST(group, key, type, field, count field, REQUIRED|OPTIONAL, group inside, least, most,
 * why). Example 2 is for the second node; "" leaves the default, shown in a comment. Of a flag 0 is
 * false and 1 true. The group inside a list of plain values is that of the list itself. */
#define TANDEM_CONFIG_SCHEMA(TEXT, NUMBER, NEST)                                                   \
	TEXT(ROOT, cluster, NAME, cluster, REQUIRED, "", "", "demo", "",                           \
	     "Name of the cluster, for people.")                                                   \
	NEST(ROOT, nodes, LIST, nodes, node_count, REQUIRED, NODE, 2, TANDEM_CONFIG_NODES_MAX,     \
	     "The machines. Each finds itself by --node, or else by its host name.")               \
	NEST(ROOT, pairs, LIST, pairs, pair_count, REQUIRED, PAIR, 1, TANDEM_CONFIG_PAIRS_MAX,     \
	     "The protected programs, each with its two nodes. A node may serve any number.")      \
	TEXT(NODE, name, NAME, name, REQUIRED, "", "", "a", "b", "The node's name.")               \
	TEXT(NODE, address, ADDRESS, address, REQUIRED, "", "", "10.0.0.1", "10.0.0.2",            \
	     "Numeric address for the data; with RDMA it chooses the device. The peer must reach " \
	     "it.")                                                                                \
	NUMBER(NODE, port, NUMBER, port, OPTIONAL, 7400, 1, 65535, "", "",                         \
	       "Port of this node's tandemd for the data.")                                        \
	NEST(NODE, rails, ADDRESSES, rails, rail_count, OPTIONAL, NODE, 1,                         \
	     TANDEM_CONFIG_RAILS_MAX,                                                              \
	     "Further data addresses of this node, best on networks of their own: the channels "   \
	     "spread over address and rails, and a lost one takes only its channels. Both nodes "  \
	     "of a pair name equally many; the first of one talks to the first of the other.")     \
	NEST(NODE, heartbeat, LIST, heartbeats, heartbeat_count, REQUIRED, HEARTBEAT, 1,           \
	     TANDEM_CONFIG_HEARTBEATS_MAX,                                                         \
	     "Where the controller sends and receives heartbeats, one for each network. Both "     \
	     "nodes of a pair name equally many; the first of one talks to the first of the "      \
	     "other.")                                                                             \
	NEST(NODE, fence, LIST, fences, fence_count, OPTIONAL, FENCE, 1, TANDEM_CONFIG_FENCES_MAX, \
	     "How this node is switched off by its peer, for arbiters of the type \"fence\": the " \
	     "first way that succeeds is enough, so the surest stands first.")                     \
	TEXT(FENCE, agent, AGENT, agent, REQUIRED, "", "", "fence_ipmilan", "",                    \
	     "A program that takes key=value lines and action=off on its input and ends with 0 "   \
	     "when the node is off: any of the package fence-agents, or your own.")                \
	TEXT(FENCE, parameters, WORDS, parameters, OPTIONAL, "", "",                               \
	     "ip=10.9.0.1 username=tandem password_script=/etc/tandem/a.bmc lanplus=1", "",        \
	     "What it is told beside the action. Secrets are better in a file than here: most "    \
	     "agents know password_script.")                                                       \
	NUMBER(FENCE, timeout_ms, MILLISECONDS, timeout_ns, OPTIONAL, 20000, 100, 600000, "", "",  \
	       "After this it is killed, with all that it started, and the next one is tried.")    \
	NUMBER(FENCE, verify, FLAG, is_verified, OPTIONAL, 1, 0, 1, "", "",                        \
	       "Ask it for action=status after a success: one that says \"on\" (exit status 0) "   \
	       "was no success. false for a program that does not know it.")                       \
	TEXT(NODE, run_directory, DIRECTORY, run_directory, OPTIONAL, "/run/tandem", "", "", "",   \
	     "Sockets and statistics of the node's programs; made when missing, mode 0700.")       \
	TEXT(NODE, image_directory, DIRECTORY, image_directory, OPTIONAL, "/dev/shm/tandem", "",   \
	     "", "",                                                                               \
	     "Copies of the regions are IMAGE_DIRECTORY/PAIR/REGION, mode 0600. Needs memory "     \
	     "for them: a tmpfs.")                                                                 \
	NUMBER(NODE, metrics_port, NUMBER, metrics_port, OPTIONAL, 0, 0, 65535, "", "",            \
	       "Where tandem-failoverd answers HTTP requests for /metrics in Prometheus' text "    \
	       "format; 0: nowhere. docs/metrics.md has all of them.")                             \
	TEXT(NODE, metrics_address, ADDRESS, metrics_address, OPTIONAL, "127.0.0.1", "", "", "",   \
	     "The numeric address for that. Whoever reaches it can read them, and nothing else.")  \
	TEXT(NODE, watchdog, DIRECTORY, watchdog, OPTIONAL, "", "", "", "",                        \
	     "A watchdog device that resets this node when its tandem-failoverd does not run for " \
	     "watchdog_timeout_s: the second line behind fences and leases. The controller does "  \
	     "not start without it. Restarting the controller must take less.")                    \
	NUMBER(NODE, watchdog_timeout_s, NUMBER, watchdog_timeout_s, OPTIONAL, 10, 2, 600, "", "", \
	       "See watchdog.")                                                                    \
	TEXT(HEARTBEAT, address, ADDRESS, address, REQUIRED, "", "", "10.0.0.1", "10.0.0.2",       \
	     "Numeric address; best a network of its own for one of them.")                        \
	NUMBER(HEARTBEAT, port, NUMBER, port, OPTIONAL, 7401, 1, 65535, "", "", "UDP port.")       \
	TEXT(PAIR, name, NAME, name, REQUIRED, "", "", "kv", "", "The pair's name.")               \
	NEST(PAIR, nodes, NODE_PAIR, nodes, nodes, REQUIRED, NODE, 2, 2,                           \
	     "Its two nodes. The first one leads when the pair starts for the first time; later "  \
	     "the arbiter's record decides.")                                                      \
	NEST(PAIR, arbiter, ONE, arbiter, arbiter, REQUIRED, ARBITER, 1, 1,                        \
	     "Who decides which node leads when they cannot see each other.")                      \
	TEXT(ARBITER, type, CHOICE, type, REQUIRED, "", "file|etcd|fence|manual|external", "file", \
	     "",                                                                                   \
	     "\"file\": a directory on storage that both nodes see decides by itself. \"etcd\": "  \
	     "a "                                                                                  \
	     "key of an etcd cluster. \"fence\": who has the other node switched off leads. "      \
	     "\"manual\": nothing is promoted until an operator says so with tandemctl. "          \
	     "\"external\": until a cluster manager says so. See docs/arbiters.md.")               \
	TEXT(ARBITER, path, DIRECTORY, path, OPTIONAL, "/var/lib/tandem", "",                      \
	     "/shared/tandem/arbiter", "",                                                         \
	     "The directory; needed for \"file\". For \"fence\", \"manual\" and \"external\" it "  \
	     "is "                                                                                 \
	     "the node's own and must survive a restart.")                                         \
	NEST(ARBITER, endpoints, URLS, endpoints, endpoint_count, OPTIONAL, ARBITER, 1,            \
	     TANDEM_CONFIG_ENDPOINTS_MAX,                                                          \
	     "The members of the etcd cluster, best all of them: one that does not answer is "     \
	     "passed over. Needed for \"etcd\".")                                                  \
	TEXT(ARBITER, prefix, WORDS, prefix, OPTIONAL, "/tandem", "", "", "",                      \
	     "The pair's key in etcd is PREFIX/PAIR. Clusters of pairs that share an etcd need a " \
	     "prefix each.")                                                                       \
	TEXT(ARBITER, ca_file, DIRECTORY, ca_file, OPTIONAL, "", "", "", "",                       \
	     "Certificates of the authority that etcd's are signed by, PEM. Without it the "       \
	     "system's.")                                                                          \
	TEXT(ARBITER, cert_file, DIRECTORY, cert_file, OPTIONAL, "", "", "", "",                   \
	     "This node's certificate for an etcd that asks for one, PEM.")                        \
	TEXT(ARBITER, client_key_file, DIRECTORY, client_key_file, OPTIONAL, "", "", "", "",       \
	     "The key that belongs to cert_file.")                                                 \
	NUMBER(ARBITER, request_timeout_ms, MILLISECONDS, request_timeout_ns, OPTIONAL, 250, 10,   \
	       250, "", "",                                                                        \
	       "An endpoint of etcd that takes longer is passed over; when all do, the decision "  \
	       "waits.")                                                                           \
	NUMBER(ARBITER, fence_delay_ms, MILLISECONDS, fence_delay_ns, OPTIONAL, 0, 1, 600000, "",  \
	       "",                                                                                 \
	       "The secondary waits so long before it has the primary switched off, so that two "  \
	       "nodes which are both alive do not switch each other off. Without it: the longest " \
	       "that all of either node's ways may take.")                                         \
	NUMBER(ARBITER, timeout_ms, MILLISECONDS, timeout_ns, OPTIONAL, 1000, 10, 60000, "", "",   \
	       "A request that took longer counts as unanswered; the decision waits.")             \
	NUMBER(ARBITER, poll_interval_ms, MILLISECONDS, poll_interval_ns, OPTIONAL, 500, 10,       \
	       60000, "", "", "How often the record is read while nothing is urgent.")             \
	NEST(PAIR, promote, ONE, promote, promote, OPTIONAL, PROMOTE, 1, 1,                        \
	     "How the secondary becomes the program. Needed, unless the pair is a virtual "        \
	     "machine: see protect.")                                                              \
	TEXT(PROMOTE, command, COMMAND, command, OPTIONAL, "", "",                                 \
	     "exec $TANDEM_BIN_DIR/tandem-kv --pair $TANDEM_PAIR --listen 0.0.0.0:6379", "",       \
	     "Run by tandemd with /bin/sh -c and TANDEM_PAIR, TANDEM_GENERATION, TANDEM_EPOCH, "   \
	     "TANDEM_IMAGE_DIR, TANDEM_STATE_FILE, TANDEM_CONFIG, TANDEM_RUN_DIR, TANDEM_NODE "    \
	     "and "                                                                                \
	     "TANDEM_BIN_DIR "                                                                     \
	     "(where tandemd itself is).")                                                         \
	NUMBER(PROMOTE, timeout_ms, MILLISECONDS, timeout_ns, OPTIONAL, 10000, 100, 3600000, "",   \
	       "", "From its start until the program has attached the regions.")                   \
	NEST(PAIR, protect, ONE, protect, protect, OPTIONAL, PROTECT, 1, 1,                        \
	     "The pair is an unmodified virtual machine, which tandemctl protect takes under "     \
	     "protection while it runs. docs/qemu.md.")                                            \
	TEXT(PROTECT, type, CHOICE, type, OPTIONAL, "", "qemu", "", "",                            \
	     "\"qemu\": its QEMU is spoken to at qmp. Needed in this group, as network and "       \
	     "command are.")                                                                       \
	TEXT(PROTECT, qmp, DIRECTORY, qmp, OPTIONAL, "", "", "", "",                               \
	     "QEMU's control socket, which nobody else may be connected to: -qmp "                 \
	     "unix:PATH,server=on,wait=off. The QEMU that takes over gets one there, too. "        \
	     "Without it RUN_DIRECTORY/PAIR.qmp.")                                                 \
	TEXT(PROTECT, network, WORDS, network, OPTIONAL, "", "", "", "",                           \
	     "A gate for each network card, with blanks between: what the guest sends leaves "     \
	     "when its epoch is committed. \"user:TAP\": tandem-qemu has the tap; \"plug:TAP\": "  \
	     "QEMU has it, and the kernel's sch_plug holds; \"user:/PATH\": a datagram socket. "   \
	     "Or \"ungated\": it leaves at once, so after a take-over others may have seen what "  \
	     "the guest has yet to do; and lease_ms is needed, or an arbiter of the type "         \
	     "\"fence\" or \"external\", or two guests could run.")                                \
	TEXT(PROTECT, command, COMMAND, command, OPTIONAL, "", "", "", "",                         \
	     "QEMU's command line on the node that takes over, with the machine, the devices and " \
	     "the version of the one that is protected: tandemctl qemu-args makes it. Quotes and " \
	     "variables, such as $TANDEM_NODE, are as in a shell; nothing else of one is known.")  \
	TEXT(PROTECT, memory, CHOICE, memory, OPTIONAL, "auto", "auto|stream|shared", "", "",      \
	     "How the guest's RAM comes to Tandem. \"shared\": it is read where QEMU has it, "     \
	     "which takes a memory-backend-file. \"stream\": QEMU sends it. \"auto\": shared "     \
	     "where "                                                                              \
	     "that is exact, else sent.")                                                          \
	TEXT(PROTECT, disks, CHOICE, disks, OPTIONAL, "refused", "refused|shared|replicated", "",  \
	     "",                                                                                   \
	     "Disks that the guest can write to are not copied. \"refused\": one that is not a "   \
	     "snapshot stops the protection. \"shared\": they are on storage that both nodes "     \
	     "reach, and fencing keeps one of them off it. \"replicated\": something else copies " \
	     "them, always as far as the guest's last epoch.")                                     \
	NUMBER(PROTECT, interval_ms, MILLISECONDS, interval_ns, OPTIONAL, 100, 1, 3600000, "", "", \
	       "From one epoch of the guest to the next.")                                         \
	NUMBER(PROTECT, pause_limit_ms, MILLISECONDS, pause_limit_ns, OPTIONAL, 10000, 10,         \
	       3600000, "", "",                                                                    \
	       "How long an epoch may hold the guest. It then runs on without protection, which "  \
	       "begins anew.")                                                                     \
	NUMBER(PROTECT, allow_untested, FLAG, is_untested_allowed, OPTIONAL, 0, 0, 1, "", "",      \
	       "true: also versions of QEMU that Tandem's tests do not run.")                      \
	NUMBER(PAIR, unprotected_after_ms, MILLISECONDS, unprotected_after_ns, OPTIONAL, 10000, 0, \
	       86400000, "", "",                                                                   \
	       "A program that leads alone for this long raises the alarm UNPROTECTED; 0: at "     \
	       "once.")                                                                            \
	NEST(PAIR, hooks, ONE, hooks, hooks, OPTIONAL, HOOKS, 1, 1,                                \
	     "Commands that tandem-failoverd runs when something has been decided, one at a "      \
	     "time and in order. No decision waits for them. docs/hooks.md has an example.")       \
	TEXT(HOOKS, on_lead, COMMAND, on_lead, OPTIONAL, "", "", "", "",                           \
	     "This node leads now: for instance takes the service's address. Run again after a "   \
	     "restart of tandem-failoverd.")                                                       \
	TEXT(HOOKS, on_stop, COMMAND, on_stop, OPTIONAL, "", "", "", "",                           \
	     "It does not lead any more, or does not when tandem-failoverd starts: for instance "  \
	     "gives the address up.")                                                              \
	TEXT(HOOKS, on_state, COMMAND, on_state, OPTIONAL, "", "", "", "",                         \
	     "The pair's state on this node has changed.")                                         \
	TEXT(HOOKS, on_alarm, COMMAND, on_alarm, OPTIONAL, "", "", "", "",                         \
	     "An alarm was raised or is over.")                                                    \
	NUMBER(HOOKS, timeout_ms, MILLISECONDS, timeout_ns, OPTIONAL, 10000, 10, 600000, "", "",   \
	       "A command that takes longer is killed, with its whole process group.")             \
	TEXT(PAIR, provider, CHOICE, provider, OPTIONAL, "auto", "auto|rdma|tcp", "", "",          \
	     "How pages travel. \"auto\": RDMA where a device serves the node's address, else "    \
	     "TCP.")                                                                               \
	NUMBER(PAIR, channels, NUMBER, channel_count, OPTIONAL, 4, 1, 16, "", "",                  \
	       "Data channels (RDMA: queue pairs; TCP: connections) that pages are spread over.")  \
	NUMBER(PAIR, write_depth, NUMBER, write_depth, OPTIONAL, 256, 16, 4096, "", "",            \
	       "Writes in flight on each channel. More fill a longer path; each costs room in "    \
	       "the device's queues.")                                                             \
	NUMBER(PAIR, merge_bytes_max, BYTES, merge_bytes_max, OPTIONAL, 65536, 4096, 1048576, "",  \
	       "",                                                                                 \
	       "Neighbouring pages travel as one write up to this size, and change channels at "   \
	       "its multiples. A multiple of 4096.")                                               \
	NUMBER(PAIR, poll_us, MICROSECONDS, poll_ns, OPTIONAL, 100, 0, 1000, "", "",               \
	       "What is due is asked for at most this long before the thread sleeps, and less "    \
	       "where that does not pay: shorter commits for a busier processor. 0: never.")       \
	TEXT(PAIR, tracker, CHOICE, tracker, OPTIONAL, "auto", "auto|pagemap|mark|compare", "",    \
	     "",                                                                                   \
	     "How written pages are found. \"auto\": pagemap on Linux 6.7 or newer, else "         \
	     "compare.")                                                                           \
	NUMBER(PAIR, verify_every, NUMBER, verify_every, OPTIONAL, 0, 0, 1000000, "", "",          \
	       "Each so many epochs all pages are hashed in the pause, to see whether the "        \
	       "tracker "                                                                          \
	       "has missed one; a miss stops the protection. 0: never.")                           \
	TEXT(PAIR, capture, CHOICE, capture, OPTIONAL, "stop", "stop|stage|auto", "", "",          \
	     "How long a checkpoint holds the program. \"stop\": until what it wrote has been "    \
	     "pushed. \"stage\": until that has been copied to memory of its own, which is "       \
	     "pushed beside the running program. \"auto\": stage where the copy is quicker than "  \
	     "the push.")                                                                          \
	NUMBER(PAIR, staging_mib, NUMBER, staging_mib, OPTIONAL, 256, 1, 16777216, "", "",         \
	       "MiB of memory for that on the primary, taken at its start and with RDMA pinned; "  \
	       "not "                                                                              \
	       "more than the regions have. What finds no room in it is pushed in the pause.")     \
	NUMBER(PAIR, push_interval_us, MICROSECONDS, push_interval_ns, OPTIONAL, 0, 0, 10000000,   \
	       "", "",                                                                             \
	       "How often what was written is pushed beside the running program between two "      \
	       "checkpoints, so that less is left for the pause; pages that are written again "    \
	       "and again are left for the end. 0: never. Not with the tracker compare.")          \
	NUMBER(PAIR, push_rate_max_mib, NUMBER, push_rate_max_mib, OPTIONAL, 0, 0, 16777216, "",   \
	       "", "MiB a second that this may take of the network; 0: no limit.")                 \
	NUMBER(PAIR, pause_budget_us, MICROSECONDS, pause_budget_ns, OPTIONAL, 0, 0, 10000000, "", \
	       "",                                                                                 \
	       "How long a checkpoint may hold the program: the program is told that it can make " \
	       "one when what is left is likely to fit. 0: no limit. Needs push_interval_us.")     \
	TEXT(PAIR, on_overload, CHOICE, on_overload, OPTIONAL, "grow", "grow|slow", "", "",        \
	     "More is written than can be pushed. \"grow\": a checkpoint that does not fit for "   \
	     "overload_wait_ms is made then, and its pause is longer. \"slow\": before that "      \
	     "tandem_poll() holds the program, less than pause_budget_us at a time, so that it "   \
	     "writes less; a checkpoint that does not fit even then holds it until it does.")      \
	NUMBER(PAIR, overload_wait_ms, MILLISECONDS, overload_wait_ns, OPTIONAL, 1000, 1, 600000,  \
	       "", "", "See on_overload.")                                                         \
	NUMBER(PAIR, state_bytes_max, BYTES, state_bytes_max, OPTIONAL, 65536, 0, 67108864, "",    \
	       "",                                                                                 \
	       "Largest state blob that the program hands over with an epoch. Of a virtual "       \
	       "machine (protect) the state of its devices; then the default is 1048576.")         \
	NUMBER(PAIR, connect_timeout_ms, MILLISECONDS, connect_timeout_ns, OPTIONAL, 1000, 10,     \
	       600000, "", "", "Whole set-up of a session.")                                       \
	NUMBER(PAIR, reconnect_interval_ms, MILLISECONDS, reconnect_interval_ns, OPTIONAL, 100,    \
	       10, 600000, "", "",                                                                 \
	       "Pause before the first attempt to set a session or a channel up again; it "        \
	       "doubles with each, with jitter.")                                                  \
	NUMBER(PAIR, reconnect_interval_max_ms, MILLISECONDS, reconnect_interval_max_ns, OPTIONAL, \
	       5000, 10, 600000, "", "", "Up to this.")                                            \
	NUMBER(PAIR, commit_timeout_ms, MILLISECONDS, commit_timeout_ns, OPTIONAL, 1000, 20,       \
	       600000, "", "",                                                                     \
	       "A session whose peer says nothing, or acknowledges nothing, this long is lost.")   \
	NUMBER(PAIR, ping_interval_ms, MILLISECONDS, ping_interval_ns, OPTIONAL, 5, 1, 60000, "",  \
	       "", "How often an idle session is asked for a sign of life.")                       \
	NUMBER(PAIR, solo_after_ms, MILLISECONDS, solo_after_ns, OPTIONAL, 300, 1, 600000, "", "", \
	       "Session lost but the peer's controller alive: after this the primary asks the "    \
	       "arbiter to go on alone.")                                                          \
	TEXT(PAIR, mode, CHOICE, mode, OPTIONAL, "available", "available|strict", "", "",          \
	     "What a primary does that has lost its copy. \"available\": it goes on alone when "   \
	     "the "                                                                                \
	     "arbiter lets it. \"strict\": nothing is answered until there is a copy again, or "   \
	     "the "                                                                                \
	     "operator says so with tandemctl promote.")                                           \
	NUMBER(PAIR, lease_ms, MILLISECONDS, lease_ns, OPTIONAL, 0, 0, 600000, "", "",             \
	       "For a program whose output nothing can hold back: not 0, and output is free, but " \
	       "a "                                                                                \
	       "kernel timer ends the program when the secondary was not heard for this long, "    \
	       "and a "                                                                            \
	       "take-over waits for it. What was answered last may be lost then. 0: output waits " \
	       "for its epoch.")                                                                   \
	TEXT(PAIR, on_rejoin, CHOICE, on_rejoin, OPTIONAL, "resync",                               \
	     "resync|keep-and-resync|manual", "", "",                                              \
	     "What becomes of the memory of a node that led and was superseded: it may hold what " \
	     "no other node does, though nothing that was answered. \"resync\": it is thrown "     \
	     "away. \"keep-and-resync\": image files are kept beside the new ones first. "         \
	     "\"manual\": the node waits for tandemctl resync.")                                   \
	NUMBER(PAIR, fence_timeout_ms, MILLISECONDS, fence_timeout_ns, OPTIONAL, 2000, 10, 600000, \
	       "", "", "The standby must have fenced the old primary within this.")                \
	TEXT(PAIR, heartbeat_profile, CHOICE, heartbeat_profile, OPTIONAL, "vm", "lan-rt|lan|vm",  \
	     "", "",                                                                               \
	     "Silence after which the peer is suspect. \"vm\": 6 beats of 50 ms. \"lan\": 10 of "  \
	     "20 ms. \"lan-rt\": 10 of 5 ms, where the controllers of both nodes have real-time "  \
	     "scheduling and no virtual machine is short of processors.")                          \
	NUMBER(PAIR, heartbeat_interval_ms, MILLISECONDS, heartbeat_interval_ns, OPTIONAL, 0, 1,   \
	       10000, "", "", "Instead of a profile, together with heartbeat_misses.")             \
	NUMBER(PAIR, heartbeat_misses, NUMBER, heartbeat_miss_count, OPTIONAL, 0, 2, 1000, "", "", \
	       "Instead of a profile, together with heartbeat_interval_ms.")                       \
	NUMBER(PAIR, hung_after_ms, MILLISECONDS, hung_after_ns, OPTIONAL, 0, 0, 600000, "", "",   \
	       "A program or standby whose process and host live, but that reports nothing for "   \
	       "this long, counts as hung. 0: 3 s with \"vm\", 1 s with \"lan\", and as long as "  \
	       "heartbeats may be silent with \"lan-rt\" or without a profile. A busy host lets "  \
	       "a "                                                                                \
	       "program wait; the end of a process or of a host is seen sooner, in other ways.")   \
	NUMBER(PAIR, take_overs_max, NUMBER, take_over_count_max, OPTIONAL, 3, 1, 16, "", "",      \
	       "More automatic take-overs by one node within take_over_window_ms are held back "   \
	       "for the operator.")                                                                \
	NUMBER(PAIR, take_over_window_ms, MILLISECONDS, take_over_window_ns, OPTIONAL, 60000,      \
	       1000, 86400000, "", "", "See take_overs_max.")                                      \
	TEXT(PAIR, key_file, DIRECTORY, key_file, OPTIONAL, "", "", "/etc/tandem/kv.key", "",      \
	     "The pair's secret, the same on both nodes: 32 hex digits in a file of root's or of " \
	     "the user's, readable by nobody else (tandemctl keygen makes it). Sessions and "      \
	     "heartbeats are proven with it; docs/security.md. Needed where an address is not "    \
	     "loopback.")                                                                          \
	NUMBER(PAIR, insecure, FLAG, is_insecure, OPTIONAL, 0, 0, 1, "", "",                       \
	       "Instead of key_file: true lets everybody who reaches the addresses pose as the "   \
	       "other node.")

struct tandem_config_key {
	enum tandem_config_group group;
	const char *name;
	enum tandem_config_type type;
	bool is_required;
	size_t offset; /* of the field in the group's struct */
	size_t size;   /* texts and numbers: of the field; lists: of one element */
	/* texts */
	const char *text_default;
	const char *choices; /* "auto|rdma|tcp" */
	/* numbers, in the unit of the file */
	uint64_t number_default;
	uint64_t least; /* lists: elements */
	uint64_t most;
	/* nested */
	enum tandem_config_group inside;
	size_t count_offset;
	/* for people */
	const char *examples[2];
	const char *why;
};

/* All keys in the order of the file; *ret_count of them. */
const struct tandem_config_key *tandem_config_keys(size_t *ret_count);

/* NULL when the group has no such key. */
const struct tandem_config_key *tandem_config_key_find(enum tandem_config_group group,
                                                       const char *name);

/* As in messages and headings: "pairs". */
const char *tandem_config_group_text(enum tandem_config_group group);

/* What the key takes, without limits: "milliseconds". */
const char *tandem_config_type_text(enum tandem_config_type type);

bool tandem_config_type_is_text(enum tandem_config_type type);
bool tandem_config_type_is_number(enum tandem_config_type type);

/* What a number of the file is multiplied with to be kept: nanoseconds for spans of time, else 1.
 */
uint64_t tandem_config_unit(enum tandem_config_type type);

#endif
