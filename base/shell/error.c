#include <tandem/error.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DETAIL_BYTES sizeof(((struct tandem_error *)0)->detail)

/* The detail is built aside first: an argument may point into the very error that is filled. */
static void fill(struct tandem_error *error, int code, int os_errno, const char *operation,
                 const char *detail)
{
	memset(error, 0, sizeof(*error));
	error->code = code;
	error->os_errno = os_errno;
	snprintf(error->operation, sizeof(error->operation), "%s", operation ? operation : "");
	snprintf(error->detail, sizeof(error->detail), "%s", detail);
}

int tandem_error_set(struct tandem_error *error, int code, const char *operation,
                     const char *format, ...)
{
	char detail[DETAIL_BYTES];
	va_list arguments;
	if (!error)
		return code;
	va_start(arguments, format);
	vsnprintf(detail, sizeof(detail), format, arguments);
	va_end(arguments);
	fill(error, code, 0, operation, detail);
	return code;
}

int tandem_error_set_errno(struct tandem_error *error, int code, int os_errno,
                           const char *operation, const char *format, ...)
{
	char detail[DETAIL_BYTES];
	char reason[64];
	va_list arguments;
	if (!error)
		return code;
	va_start(arguments, format);
	vsnprintf(detail, sizeof(detail), format, arguments);
	va_end(arguments);
	size_t length = strlen(detail);
	snprintf(detail + length, sizeof(detail) - length, "%s%s", length > 0 ? ": " : "",
	         strerror_r(os_errno, reason, sizeof(reason)));
	fill(error, code, os_errno, operation, detail);
	return code;
}

int tandem_error_wrap(struct tandem_error *error, int code, const char *format, ...)
{
	char detail[DETAIL_BYTES];
	va_list arguments;
	if (!error)
		return code;
	va_start(arguments, format);
	vsnprintf(detail, sizeof(detail), format, arguments);
	va_end(arguments);
	size_t length = strlen(detail);
	snprintf(detail + length, sizeof(detail) - length, "%s%s", error->detail[0] ? ": " : "",
	         error->detail);
	memcpy(error->detail, detail, sizeof(detail));
	return error->code;
}
