#ifndef TANDEM_ERROR_H
#define TANDEM_ERROR_H

#include <stddef.h>

#include <tandem/error_code.h>

#define TANDEM_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))

/* Fills `error` (NULL is allowed) and returns `code`. Keeps os_errno 0. Any thread. */
int tandem_error_set(struct tandem_error *error, int code, const char *operation,
                     const char *format, ...) TANDEM_PRINTF(4, 5);

/* The same with a system error number; its text is appended to the detail. */
int tandem_error_set_errno(struct tandem_error *error, int code, int os_errno,
                           const char *operation, const char *format, ...) TANDEM_PRINTF(5, 6);

/* Puts "format: " before the detail; NULL is allowed. Returns error->code, or `code` if error is
 * NULL. */
int tandem_error_wrap(struct tandem_error *error, int code, const char *format, ...)
        TANDEM_PRINTF(3, 4);

#endif
