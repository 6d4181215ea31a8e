#include <stdio.h>

#include "shell/metrics.h"

/* docs/metrics.md, from the table that the answers are made from. */

static const char head[] =
        "# Metrics\n"
        "\n"
        "`tandem-failoverd` answers `GET /metrics` in Prometheus' text format where a node of the "
        "configuration has a `metrics_port`\n"
        "(default: none) at its `metrics_address` (default 127.0.0.1):\n"
        "\n"
        "    nodes = ( { name = \"alpha\"; ...; metrics_port = 9746; }, ... );\n"
        "\n"
        "    scrape_configs:\n"
        "      - job_name: tandem\n"
        "        static_configs: [ { targets: [ \"127.0.0.1:9746\" ] } ]\n"
        "\n"
        "Whoever reaches the address can read them, and nothing else: there is no other page but "
        "a link to it, only GET is answered,\n"
        "requests are limited in size and time, and clients cannot take the descriptors that "
        "the controller needs.\n"
        "\n"
        "Every sample has the labels `pair` and `node`. What is missing is not known on this node: "
        "figures of a program are told\n"
        "where it runs. Names of roles, alarms and hooks are those of "
        "[failover-states.md](failover-states.md), `status` and\n"
        "[hooks.md](hooks.md). Counters begin anew with each life of the controller or of the "
        "program. This page is made from the table in\n"
        "the code.\n"
        "\n"
        "| metric | type | labels | unit | meaning |\n"
        "| --- | --- | --- | --- | --- |\n";

static const char tail[] =
        "\n"
        "What to be woken for:\n"
        "\n"
        "| | |\n"
        "| --- | --- |\n"
        "| `tandem_protected == 0` for a minute | nobody could go on without the primary |\n"
        "| `max by (pair) (tandem_role{role=~\"PRIMARY.*\"}) == 0` | nobody leads |\n"
        "| `tandem_alarm == 1` for a minute | `tandemctl status` says what it means |\n"
        "| `tandem_epoch_lag_seconds > 1` | the program runs, its output waits |\n"
        "| `increase(tandem_failover_total[10m]) > 0` | it happened; `tandemctl events` says why "
        "|\n";

int main(void)
{
	size_t count;
	const struct tandem_metric *metrics = tandem_metrics(&count);
	fputs(head, stdout);
	for (size_t i = 0; i < count; i++)
		printf("| `%s` | %s | %s | %s | %s |\n", metrics[i].name,
		       tandem_metric_type_name(metrics[i].type), metrics[i].labels, metrics[i].unit,
		       metrics[i].meaning);
	fputs(tail, stdout);
	return 0;
}
