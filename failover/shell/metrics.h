#ifndef TANDEM_FAILOVER_METRICS_H
#define TANDEM_FAILOVER_METRICS_H

#include "shell/service.h"

/* What a monitoring system sees of the pairs of this node: Prometheus' text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). docs/metrics.md is made from the
 * table in metrics.c. */
enum tandem_metric_type {
	TANDEM_METRIC_GAUGE,
	TANDEM_METRIC_COUNTER,
	TANDEM_METRIC_HISTOGRAM,
	TANDEM_METRIC_SUMMARY,
};

struct tandem_scrape;

struct tandem_metric {
	const char *name;
	enum tandem_metric_type type;
	const char *labels; /* beside pair and node: "link", "" for none */
	const char *unit;   /* "seconds", "bytes", "" for a plain number */
	const char *meaning;
	void (*write)(struct tandem_scrape *scrape); /* its samples of one pair */
};

/* All of them, in the order of the answer. */
const struct tandem_metric *tandem_metrics(size_t *ret_count);
const char *tandem_metric_type_name(enum tandem_metric_type type);

struct evbuffer;

/* Appends all metrics of all pairs. */
void tandem_metrics_write(struct tandem_controller *controller, struct evbuffer *buffer);

/* metrics_http.c: answers GET /metrics where the options say; nothing without a port. What a client
 * sends is limited in size and time, and clients may not take the last descriptors. */
TANDEM_MUST_CHECK int tandem_metrics_open(struct tandem_controller *controller,
                                          struct tandem_error *reterr_error);
void tandem_metrics_close(struct tandem_controller *controller);

#endif
