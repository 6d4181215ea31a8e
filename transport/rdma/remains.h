#ifndef TANDEM_RDMA_REMAINS_H
#define TANDEM_RDMA_REMAINS_H

#include <stdbool.h>

/* [N21] What is left of an attempt of a data channel while its device gives up the queue pair. A
 * device may take long for that: soft-RoCE waits until the network has let go of every packet of
 * the queue pair, up to 50 s, and a path under flow control may hold them for as long. So a thread
 * of its own waits for it. */
struct tandem_rdma_remains;
struct tandem_rdma_session;
struct tandem_rdma_channel;

/* As tandem_rdma_channel_close, but the device is not waited for. With takes_id the channel's id
 * ends with the rest, else it stays. */
void tandem_rdma_remains_leave(struct tandem_rdma_channel *channel, bool takes_id);
/* Frees those that their device has given up. */
void tandem_rdma_remains_settle(struct tandem_rdma_session *session);
/* Waits until all are given up. */
void tandem_rdma_remains_wait(struct tandem_rdma_session *session);

#endif
