#include "bench_plot.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB       1048576.0
#define STEPS_MAX 400u /* points of a curve: more do not show */
#define COLOR_MAX 6u

/* Distinct without colours, too: from dark to light. */
static const char *const colors[COLOR_MAX] = {"#1b3a5c", "#2a6f97", "#3a9d9d",
                                              "#7ab648", "#d98e04", "#b5432a"};

static double ms_at(const struct tandem_bench_samples *samples_ns, unsigned per_mille)
{
	return (double)tandem_bench_samples_at(samples_ns, per_mille) / 1e6;
}

/* "64 KiB" */
static const char *size_text(uint64_t bytes, char text[32])
{
	if (bytes >= (UINT64_C(1) << 30))
		snprintf(text, 32, "%.3g GiB", (double)bytes / MIB / 1024);
	else if (bytes >= (UINT64_C(1) << 20))
		snprintf(text, 32, "%.3g MiB", (double)bytes / MIB);
	else
		snprintf(text, 32, "%.3g KiB", (double)bytes / 1024);
	return text;
}

/* The share of the pauses that are longer, from all to the last one: the tail has its room on a
 * logarithmic axis. */
static void write_curve(FILE *out, const struct tandem_bench_samples *pauses_ns, unsigned row)
{
	const size_t count = pauses_ns->count;
	const size_t stride = count > STEPS_MAX ? count / STEPS_MAX : 1;

	fprintf(out, "$curve%u << END\n", row);
	for (size_t i = 0; i < count; i += i + 100 < count ? stride : 1)
		fprintf(out, "%.6f %.6f\n", (double)pauses_ns->values[i] / 1e6,
		        (double)(count - i) / (double)count * 100);
	fprintf(out, "END\n");
}

/* The pause of a staged capture ends when all is copied, that of any other when all is sent. */
static void write_sizes(FILE *out, bool is_staged,
                        const struct tandem_bench_checkpoint_figures *figures)
{
	fputs("$sizes << END\n", out);
	for (unsigned i = 0; i < figures->row_count; i++) {
		const struct tandem_bench_row *row = &figures->rows[i];
		const struct tandem_bench_samples *spans = row->spans_ns;
		const struct tandem_bench_samples *bare =
		        &spans[is_staged ? TANDEM_BENCH_SPAN_BARE_COPY
		                         : TANDEM_BENCH_SPAN_BARE_SEND];

		fprintf(out, "%.6f %.6f %.6f %.6f %.6f\n", (double)row->dirty_bytes / MIB,
		        ms_at(&spans[TANDEM_BENCH_SPAN_PAUSE], 500),
		        ms_at(&spans[TANDEM_BENCH_SPAN_PAUSE], 990),
		        ms_at(&spans[TANDEM_BENCH_SPAN_SCAN], 500),
		        ms_at(&spans[TANDEM_BENCH_SPAN_BARE_SCAN], 500) + ms_at(bare, 500));
	}
	fputs("END\n", out);
}

static void write_title(FILE *out, const struct tandem_bench_checkpoint_options *options,
                        const struct tandem_bench_checkpoint_figures *figures)
{
	char size[32], rate[32];

	fprintf(out,
	        "set multiplot layout 1,2 title \"{/:Bold The pause of a checkpoint}\\n{/=11 %s, "
	        "pattern %s, %s, %u channels, tracker %s, capture %s, %u checkpoints a row",
	        size_text(options->size_bytes, size), tandem_bench_writes_text(options->writes),
	        figures->provider, options->channel_count, figures->tracker, options->capture.mode,
	        options->epochs);
	if (options->interval_ns > 0)
		fprintf(out, ", every %.0f ms", (double)options->interval_ns / 1e6);
	if (options->rate_bytes_s > 0)
		fprintf(out, ", %s/s written", size_text(options->rate_bytes_s, rate));
	fputs("}\" offset 0,-0.3\n", out);
}

static void write_curves(FILE *out, const struct tandem_bench_checkpoint_figures *figures)
{
	char size[32];

	fputs("set title \"How long pauses are\"\n"
	      "set xlabel \"pause, ms\"\nset ylabel \"checkpoints with a longer pause, %\"\n"
	      "set logscale xy\nset yrange [*:100]\nset format y \"%g\"\n"
	      "set key outside below center horizontal Left reverse title \"written before "
	      "each:\"\n",
	      out);
	fputs("plot ", out);
	for (unsigned i = 0; i < figures->row_count; i++)
		fprintf(out,
		        "%s$curve%u using 1:2 with steps lw 2 lc rgb \"%s\" title \"%s written\"",
		        i == 0 ? "" : ", ", i, colors[i % COLOR_MAX],
		        size_text(figures->rows[i].dirty_bytes, size));
	fputs("\n", out);
}

static void write_lines(FILE *out, const struct tandem_bench_checkpoint_options *options,
                        bool is_staged)
{
	fputs("set title \"What the pause grows with\"\n"
	      "set xlabel \"written before the checkpoint, MiB\"\nset ylabel \"ms\"\n"
	      "unset yrange\nset yrange [*:*]\nset key notitle width -5 "
	      "maxrows 2\n"
	      "plot $sizes using 1:2 with linespoints lw 2 pt 7 ps 0.7 lc rgb \"#2a6f97\" title "
	      "\"pause, median\", $sizes using 1:3 with linespoints lw 2 dt 2 pt 6 ps 0.7 lc rgb "
	      "\"#2a6f97\" title \"pause, 99th percentile\", $sizes using 1:4 with lines lw 1.5 lc "
	      "rgb \"#7ab648\" title \"of it, the scan\"",
	      out);
	if (options->measures_bare)
		fprintf(out,
		        ", $sizes using 1:5 with linespoints lw 1.5 pt 1 ps 0.8 lc rgb "
		        "\"#b5432a\" title \"bare scan and %s\"",
		        is_staged ? "one copy" : "plain send");
	fputs("\n", out);
}

void tandem_bench_plot_write(FILE *out, const struct tandem_bench_checkpoint_options *options,
                             const struct tandem_bench_checkpoint_figures *figures)
{
	const bool is_staged = strcmp(options->capture.mode, "stage") == 0;

	for (unsigned i = 0; i < figures->row_count; i++)
		write_curve(out, &figures->rows[i].spans_ns[TANDEM_BENCH_SPAN_PAUSE], i);
	write_sizes(out, is_staged, figures);
	fprintf(out, "set terminal svg size 1000,480 font \"sans-serif,12\" background \"white\"\n"
	             "set grid lc rgb \"#dddddd\"\nset border 3 lc rgb \"#666666\"\n"
	             "set tics nomirror\nset tmargin 3\nset bmargin 7\n");
	write_title(out, options, figures);
	write_curves(out, figures);
	write_lines(out, options, is_staged);
	fputs("unset multiplot\n", out);
}

/* Its picture goes to the file; the end that its script is written to. */
static int start_gnuplot(const char *path, pid_t *ret_pid, FILE **ret_script)
{
	static char program[] = "gnuplot";
	char *arguments[] = {program, NULL};
	posix_spawn_file_actions_t actions;
	int ends[2], failure;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, path,
	                                 O_WRONLY | O_CREAT | O_TRUNC, 0644);
	failure = posix_spawnp(ret_pid, program, &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[0]);
	*ret_script = failure == 0 ? fdopen(ends[1], "w") : NULL;
	if (*ret_script == NULL)
		close(ends[1]);
	return failure;
}

int tandem_bench_plot(const struct tandem_bench_checkpoint_options *options,
                      const struct tandem_bench_checkpoint_figures *figures,
                      struct tandem_error *reterr_error)
{
	pid_t pid = -1;
	int status = -1;
	FILE *script = NULL;
	const int failure = start_gnuplot(options->plot_path, &pid, &script);

	if (failure != 0)
		return tandem_error_set_errno(
		        reterr_error, TANDEM_E_SYSTEM, failure, "gnuplot",
		        "it could not be started (Debian's package is gnuplot-nox) with %s",
		        options->plot_path);
	if (script != NULL) {
		tandem_bench_plot_write(script, options, figures);
		fclose(script);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return tandem_error_set(reterr_error, TANDEM_E_SYSTEM, "gnuplot",
	                        "it failed, and said why above");
}
