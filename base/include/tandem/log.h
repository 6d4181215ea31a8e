#ifndef TANDEM_LOG_H
#define TANDEM_LOG_H

#include <tandem/error.h>

/* One line per call to standard error: "2026-11-21T06:40:00.123Z level name: text". Programs log,
 * libraries return; library rooms use TANDEM_LOG_DEBUG only. Any thread; a line is one write(2). */
enum tandem_log_level {
	TANDEM_LOG_ERROR,
	TANDEM_LOG_WARNING,
	TANDEM_LOG_INFO,
	TANDEM_LOG_DEBUG,
};

/* `name` is borrowed for ever (a literal): the program, as "tandemd". Default level: INFO, or DEBUG
 * when the environment has TANDEM_LOG=debug. */
void tandem_log_open(const char *name);
void tandem_log_set_level(enum tandem_log_level level);

void tandem_log(enum tandem_log_level level, const char *format, ...) TANDEM_PRINTF(2, 3);

#endif
