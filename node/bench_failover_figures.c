#include "bench_failover_figures.h"

#include <errno.h>
#include <stdio.h>

#include <tandem/clock.h>

#include "bench_report.h"

static const struct {
	const char *key;
	const char *text;
} parts[TANDEM_BENCH_PARTS] = {
#define X(name, key, text) [TANDEM_BENCH_PART_##name] = {key, text},
        TANDEM_BENCH_PART_TABLE(X)
#undef X
};

int tandem_bench_failover_figures_make(struct tandem_bench_failover_figures *figures, size_t rounds,
                                       struct tandem_error *reterr_error)
{
	int code;

	*figures = (struct tandem_bench_failover_figures){.is_real_time = true};
	code = tandem_bench_samples_make(&figures->total_ns, rounds, reterr_error);
	if (code == 0)
		code = tandem_bench_samples_make(&figures->pair_ns, rounds, reterr_error);
	for (unsigned i = 0; code == 0 && i < TANDEM_BENCH_PARTS; i++)
		code = tandem_bench_samples_make(&figures->parts_ns[i], rounds, reterr_error);
	return code;
}

void tandem_bench_failover_figures_clear(struct tandem_bench_failover_figures *figures)
{
	tandem_bench_samples_clear(&figures->total_ns);
	tandem_bench_samples_clear(&figures->pair_ns);
	for (unsigned i = 0; i < TANDEM_BENCH_PARTS; i++)
		tandem_bench_samples_clear(&figures->parts_ns[i]);
}

static double ms_at(const struct tandem_bench_samples *samples, unsigned per_mille)
{
	return (double)tandem_bench_samples_at(samples, per_mille) / (double)TANDEM_NS_PER_MS;
}

static struct json_object *json_samples(const struct tandem_bench_samples *samples)
{
	struct json_object *object = json_object_new_object();

	tandem_bench_json_count(object, "count", samples->count);
	tandem_bench_json_number(object, "p50", ms_at(samples, 500));
	tandem_bench_json_number(object, "p99", ms_at(samples, 990));
	tandem_bench_json_number(object, "max", ms_at(samples, 1000));
	return object;
}

static struct json_object *json_list(const struct tandem_bench_samples *samples)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < samples->count; i++)
		json_object_array_add(list, json_object_new_double((double)samples->values[i] /
		                                                   (double)TANDEM_NS_PER_MS));
	return list;
}

static struct json_object *json_report(const struct tandem_bench_failover_options *options,
                                       const struct tandem_bench_failover_figures *figures)
{
	struct json_object *report = json_object_new_object();

	tandem_bench_json_count(report, "rounds", figures->total_ns.count);
	tandem_bench_json_text(report, "fault", tandem_bench_fault_text(options->fault));
	tandem_bench_json_text(report, "profile", options->profile);
	tandem_bench_json_count(report, "size_bytes", options->size_bytes);
	tandem_bench_json_count(report, "fill_percent", options->fill_percent);
	tandem_bench_json_count(report, "connections", options->connections);
	tandem_bench_json_count(report, "value_bytes", options->value_bytes);
	json_object_object_add(report, "realtime", json_object_new_boolean(figures->is_real_time));
	tandem_bench_json_number(report, "load_average_begin", figures->loads[0]);
	tandem_bench_json_number(report, "load_average_end", figures->loads[1]);
	tandem_bench_json_number(report, "seconds",
	                         (double)figures->elapsed_ns / (double)TANDEM_NS_PER_S);
	tandem_bench_json_count(report, "acknowledged_writes", figures->acknowledged_count);
	/* The run ends with an error at the first one. */
	tandem_bench_json_count(report, "lost_writes", 0);
	tandem_bench_json_count(report, "false_failovers", figures->disturbed_count);
	tandem_bench_json_count(report, "lost_copies", figures->lost_copy_count);
	json_object_object_add(report, "failover_ms", json_samples(&figures->total_ns));
	for (unsigned i = 0; i < TANDEM_BENCH_PARTS; i++)
		json_object_object_add(report, parts[i].key, json_samples(&figures->parts_ns[i]));
	json_object_object_add(report, "pair_again_ms", json_samples(&figures->pair_ns));
	json_object_object_add(report, "failover_samples_ms", json_list(&figures->total_ns));
	return report;
}

static int write_json(const char *path, struct json_object *report,
                      struct tandem_error *reterr_error)
{
	FILE *file = fopen(path, "we");

	if (file == NULL)
		return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "open", "%s",
		                              path);
	fprintf(file, "%s\n", json_object_to_json_string_ext(report, JSON_C_TO_STRING_PRETTY));
	if (fclose(file) == 0)
		return 0;
	return tandem_error_set_errno(reterr_error, TANDEM_E_SYSTEM, errno, "write", "%s", path);
}

static void print_samples(const char *name, const struct tandem_bench_samples *samples,
                          const char *text)
{
	printf("%-12s %9.2f %9.2f %9.2f   %s\n", name, ms_at(samples, 500), ms_at(samples, 990),
	       ms_at(samples, 1000), text);
}

static void print(const struct tandem_bench_failover_options *options,
                  const struct tandem_bench_failover_figures *figures)
{
	printf("%zu rounds in %.1f s, fault %s, profile %s, %llu MiB, %u %% of it data, %u "
	       "writers; load average "
	       "%.2f to %.2f; controllers %s\n"
	       "%llu writes acknowledged, none lost; %u take-overs without a fault\n",
	       figures->total_ns.count, (double)figures->elapsed_ns / (double)TANDEM_NS_PER_S,
	       tandem_bench_fault_text(options->fault), options->profile,
	       (unsigned long long)options->size_bytes >> 20, options->fill_percent,
	       options->connections, figures->loads[0], figures->loads[1],
	       figures->is_real_time ? "real-time" : "NOT real-time",
	       (unsigned long long)figures->acknowledged_count, figures->disturbed_count);
	if (options->fault == TANDEM_BENCH_FAULT_NONE)
		printf("the primary went on alone, without a fault, %u times\n",
		       figures->lost_copy_count);
	if (figures->total_ns.count == 0)
		return;
	puts("ms                 p50       p99       max");
	print_samples("failover_ms", &figures->total_ns, "from the fault to the first reply");
	for (unsigned i = 0; i < TANDEM_BENCH_PARTS; i++)
		print_samples(parts[i].key, &figures->parts_ns[i], parts[i].text);
	print_samples("pair again", &figures->pair_ns, "from there until the next copy is full");
}

int tandem_bench_failover_report(const struct tandem_bench_failover_options *options,
                                 struct tandem_bench_failover_figures *figures,
                                 struct tandem_error *reterr_error)
{
	struct json_object *report;
	int code = 0;

	tandem_bench_samples_sort(&figures->total_ns);
	tandem_bench_samples_sort(&figures->pair_ns);
	for (unsigned i = 0; i < TANDEM_BENCH_PARTS; i++)
		tandem_bench_samples_sort(&figures->parts_ns[i]);
	print(options, figures);
	report = json_report(options, figures);
	if (options->json_path != NULL)
		code = write_json(options->json_path, report, reterr_error);
	json_object_put(report);
	return code;
}
