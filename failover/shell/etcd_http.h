#ifndef TANDEM_FAILOVER_ETCD_HTTP_H
#define TANDEM_FAILOVER_ETCD_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include <tandem/controller.h>

/* One POST at a time, driven by the loop: nothing here waits. */
struct event_base;
struct tandem_etcd_http;

struct tandem_etcd_reply {
	long http_status; /* 0: none came, `error` says why */
	bool was_sent;    /* some of the request may have arrived */
	const char *body; /* borrowed for the call, as `error` */
	size_t length;
	const char *error;
};

typedef void (*tandem_etcd_reply_fn)(void *context, const struct tandem_etcd_reply *reply);

/* `base` is borrowed until freed, `etcd` for the call. */
TANDEM_MUST_CHECK int tandem_etcd_http_new(struct event_base *base,
                                           const struct tandem_controller_etcd *etcd,
                                           tandem_etcd_reply_fn on_reply, void *context,
                                           struct tandem_etcd_http **ret_http,
                                           struct tandem_error *reterr_error);
/* `body` is copied. One reply follows from the loop, unless this fails. */
TANDEM_MUST_CHECK int tandem_etcd_http_post(struct tandem_etcd_http *http, const char *endpoint,
                                            const char *body, struct tandem_error *reterr_error);
void tandem_etcd_http_free(struct tandem_etcd_http *http); /* NULL is allowed */

#endif
