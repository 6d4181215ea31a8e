#ifndef TANDEM_BENCH_REPORT_H
#define TANDEM_BENCH_REPORT_H

#include <json-c/json.h>

#include <tandem/transport.h>

#include "bench_sender.h"

/* Fields of a JSON object. */
void tandem_bench_json_text(struct json_object *object, const char *name, const char *text);
void tandem_bench_json_number(struct json_object *object, const char *name, double number);
void tandem_bench_json_count(struct json_object *object, const char *name, uint64_t count);
/* {count, p50, p99, p999, max} in microseconds. */
void tandem_bench_json_latency(struct json_object *object, const char *name,
                               const struct tandem_histogram *latency_ns);
/* Prints and frees. */
void tandem_bench_json_print(struct json_object *object);

/* The result of `tandem-bench transport` on standard output. */
void tandem_bench_report(const struct tandem_transport_capabilities *capabilities,
                         const struct tandem_bench_plan *plan,
                         const struct tandem_bench_figures *figures, bool is_json);

#endif
