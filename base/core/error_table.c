#include <tandem/error.h>

struct row {
	const char *name;
	const char *text;
	enum tandem_error_class class;
};

static const struct row rows[TANDEM_ERROR_NUMBER_END] = {
        [TANDEM_ERROR_NUMBER_NONE] = {"OK", "success", TANDEM_CLASS_NONE},
#define X(name, class, text) [TANDEM_ERROR_NUMBER_##name] = {#name, text, TANDEM_CLASS_##class},
        TANDEM_ERROR_TABLE(X)
#undef X
};

static const struct row unknown = {"UNKNOWN", "unknown error", TANDEM_CLASS_NONE};

static const struct row *row_of(int code)
{
	if (code > 0 || code <= -TANDEM_ERROR_NUMBER_END)
		return &unknown;
	return &rows[-code];
}

const char *tandem_error_text(int code)
{
	return row_of(code)->text;
}

const char *tandem_error_name(int code)
{
	return row_of(code)->name;
}

enum tandem_error_class tandem_error_class(int code)
{
	return row_of(code)->class;
}
