#ifndef TANDEM_TESTS_RDMA_RIG_H
#define TANDEM_TESTS_RDMA_RIG_H

#include <tandem/transport.h>

#include "fake.h"
#include "pair.h"
#include "rdma/session.h"

/* Two joined rdma sessions over the fake device, and their insides. */
struct rig {
	struct tandem_contract_bed bed;
	struct tandem_transport_options options;
	struct pair pair;
};

/* A fresh device, a provider with pieces of `piece_bytes` and a joined pair of 2 channels. */
struct rig *rig_new(uint64_t piece_bytes);
/* The same on a device that does not know ibv_wr_*. */
struct rig *rig_new_with_lists(uint64_t piece_bytes);
/* The same with 4 channels over two rails, each on a device of its own. */
struct rig *rig_new_on_two_rails(void);
/* The same without connecting: listener and options only. */
struct rig *rig_new_listening(void);
/* Frees all and checks that nothing is left and nothing was misused. */
void rig_free(struct rig *rig);

/* Serves both sides until both are quiet. */
void rig_settle(struct rig *rig);
struct tandem_rdma_session *rig_connecting(struct rig *rig);
struct tandem_rdma_session *rig_listening(struct rig *rig);

#endif
