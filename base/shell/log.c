#include <tandem/log.h>

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tandem/clock.h>

#define LINE_BYTES 1024

static const char *const level_names[] = {"error", "warning", "info", "debug"};

static _Atomic(const char *) program_name = "tandem";
static _Atomic int level_max = TANDEM_LOG_INFO;

void tandem_log_open(const char *name)
{
	const char *wanted = getenv("TANDEM_LOG");
	atomic_store(&program_name, name);
	if (wanted && strcmp(wanted, "debug") == 0)
		tandem_log_set_level(TANDEM_LOG_DEBUG);
}

void tandem_log_set_level(enum tandem_log_level level)
{
	atomic_store(&level_max, (int)level);
}

static size_t format_head(char *line, enum tandem_log_level level)
{
	uint64_t now_ns = tandem_clock_wall_ns();
	time_t now_s = (time_t)(now_ns / TANDEM_NS_PER_S);
	unsigned milliseconds = (unsigned)(now_ns % TANDEM_NS_PER_S / TANDEM_NS_PER_MS);
	struct tm when;
	gmtime_r(&now_s, &when);
	size_t length = strftime(line, LINE_BYTES, "%Y-%m-%dT%H:%M:%S", &when);
	length += (size_t)snprintf(line + length, LINE_BYTES - length,
	                           ".%03uZ %s %.64s: ", milliseconds, level_names[level],
	                           atomic_load(&program_name));
	return length;
}

/* A peer's text may be part of it; a line stays one line and harmless to a terminal. */
static void blank_control_characters(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = ' ';
	}
}

void tandem_log(enum tandem_log_level level, const char *format, ...)
{
	char line[LINE_BYTES];
	va_list arguments;
	if ((int)level > atomic_load(&level_max))
		return;
	size_t length = format_head(line, level);
	va_start(arguments, format);
	/* One byte is kept for the newline. */
	vsnprintf(line + length, sizeof(line) - length - 1, format, arguments);
	va_end(arguments);
	blank_control_characters(line);
	length = strlen(line);
	line[length++] = '\n';
	if (write(STDERR_FILENO, line, length) < 0)
		return; /* nobody is left to tell */
}
