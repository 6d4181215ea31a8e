#include "bench_report.h"

#include <stdio.h>

#define PAGE_BYTES 4096.0
#define MIB        (1024.0 * 1024.0)

void tandem_bench_json_text(struct json_object *object, const char *name, const char *text)
{
	json_object_object_add(object, name, json_object_new_string(text));
}

void tandem_bench_json_number(struct json_object *object, const char *name, double number)
{
	json_object_object_add(object, name, json_object_new_double(number));
}

void tandem_bench_json_count(struct json_object *object, const char *name, uint64_t count)
{
	json_object_object_add(object, name, json_object_new_int64((int64_t)count));
}

static double us_at(const struct tandem_histogram *latency_ns, unsigned per_mille)
{
	return (double)tandem_histogram_at(latency_ns, per_mille) / 1e3;
}

void tandem_bench_json_latency(struct json_object *object, const char *name,
                               const struct tandem_histogram *latency_ns)
{
	struct json_object *latency = json_object_new_object();

	tandem_bench_json_count(latency, "count", latency_ns->count);
	tandem_bench_json_number(latency, "p50", us_at(latency_ns, 500));
	tandem_bench_json_number(latency, "p99", us_at(latency_ns, 990));
	tandem_bench_json_number(latency, "p999", us_at(latency_ns, 999));
	tandem_bench_json_number(latency, "max", (double)latency_ns->max / 1e3);
	json_object_object_add(object, name, latency);
}

void tandem_bench_json_print(struct json_object *object)
{
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY));
	json_object_put(object);
}

static double goodput(const struct tandem_bench_figures *figures)
{
	return (double)figures->bytes / MIB / ((double)figures->elapsed_ns / 1e9);
}

static double pages_per_second(const struct tandem_bench_figures *figures)
{
	return (double)figures->bytes / PAGE_BYTES / ((double)figures->elapsed_ns / 1e9);
}

static double cpu_per_gib(const struct tandem_bench_figures *figures, uint64_t cpu_ns)
{
	return (double)cpu_ns / 1e9 / ((double)figures->bytes / MIB / 1024.0);
}

static void print_json(const struct tandem_transport_capabilities *capabilities,
                       const struct tandem_bench_plan *plan,
                       const struct tandem_bench_figures *figures)
{
	struct json_object *report = json_object_new_object();

	tandem_bench_json_text(report, "provider", capabilities->name);
	tandem_bench_json_text(report, "provider_detail", capabilities->detail);
	tandem_bench_json_text(report, "pattern", tandem_bench_pattern_text(plan->load.pattern));
	tandem_bench_json_count(report, "channels", plan->channel_count);
	tandem_bench_json_count(report, "bytes", plan->load.bytes);
	tandem_bench_json_count(report, "region_bytes", plan->load.region_bytes);
	tandem_bench_json_count(report, "write_bytes", plan->load.write_bytes);
	tandem_bench_json_count(report, "epochs", plan->epochs);
	tandem_bench_json_number(report, "seconds", (double)figures->elapsed_ns / 1e9);
	tandem_bench_json_number(report, "bytes_per_second", goodput(figures) * MIB);
	tandem_bench_json_number(report, "pages_s", pages_per_second(figures));
	tandem_bench_json_latency(report, "epoch_us", &figures->epoch_ns);
	tandem_bench_json_latency(report, "commit_us", &figures->commit_ns);
	tandem_bench_json_number(report, "sender_cpu_s_per_gib",
	                         cpu_per_gib(figures, figures->sender_cpu_ns));
	tandem_bench_json_number(report, "receiver_cpu_s_per_gib",
	                         cpu_per_gib(figures, figures->receiver_cpu_ns));
	tandem_bench_json_print(report);
}

static void print_latency(const char *name, const struct tandem_histogram *latency_ns)
{
	printf("%-16s p50 %.1f us, p99 %.1f us, p99.9 %.1f us, max %.1f us (%llu)\n", name,
	       us_at(latency_ns, 500), us_at(latency_ns, 990), us_at(latency_ns, 999),
	       (double)latency_ns->max / 1e3, (unsigned long long)latency_ns->count);
}

void tandem_bench_report(const struct tandem_transport_capabilities *capabilities,
                         const struct tandem_bench_plan *plan,
                         const struct tandem_bench_figures *figures, bool is_json)
{
	if (is_json) {
		print_json(capabilities, plan, figures);
		return;
	}
	printf("%s: %s\n", capabilities->name, capabilities->detail);
	printf("%s, writes of %u bytes, %u channels, %u epochs of %.1f MiB in a region of %.1f "
	       "MiB\n",
	       tandem_bench_pattern_text(plan->load.pattern), plan->load.write_bytes,
	       plan->channel_count, plan->epochs, (double)plan->load.bytes / MIB,
	       (double)plan->load.region_bytes / MIB);
	printf("%-16s %.1f MiB/s, %.0f pages/s\n", "goodput", goodput(figures),
	       pages_per_second(figures));
	print_latency("epoch", &figures->epoch_ns);
	if (figures->commit_ns.count > 0)
		print_latency("one-page commit", &figures->commit_ns);
	printf("%-16s %.3f s per GiB at the sender, %.3f at the receiver\n", "CPU",
	       cpu_per_gib(figures, figures->sender_cpu_ns),
	       cpu_per_gib(figures, figures->receiver_cpu_ns));
}
