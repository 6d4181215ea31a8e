#include <criterion/criterion.h>

#include <tandem/error.h>
#include <errno.h>
#include <string.h>

Test(error, the_table_answers_for_every_code)
{
	cr_assert_str_eq(tandem_error_name(TANDEM_E_AGAIN), "AGAIN");
	cr_assert_str_eq(tandem_error_text(TANDEM_E_UNSUPPORTED), "not supported here");
	cr_assert_eq(tandem_error_class(TANDEM_E_VERSION), TANDEM_CLASS_PROTOCOL);
	cr_assert_eq(tandem_error_class(TANDEM_E_YANKED), TANDEM_CLASS_PEER);
	cr_assert_eq(tandem_error_class(0), TANDEM_CLASS_NONE);
	for (int code = 0; code > -TANDEM_ERROR_NUMBER_END; code--)
		cr_assert(strlen(tandem_error_name(code)) > 0 &&
		          strlen(tandem_error_text(code)) > 0);
}

Test(error, unknown_codes_are_harmless)
{
	cr_assert_str_eq(tandem_error_text(1), "unknown error");
	cr_assert_str_eq(tandem_error_text(-TANDEM_ERROR_NUMBER_END), "unknown error");
	cr_assert_str_eq(tandem_error_text(-2147483647 - 1), "unknown error");
	cr_assert_eq(tandem_error_class(99), TANDEM_CLASS_NONE);
}

Test(error, set_fills_and_returns)
{
	struct tandem_error error = {.wc_status = 5, .os_errno = 3};
	int status = tandem_error_set(&error, TANDEM_E_CONFIG, "check", "port %d", 7);
	cr_assert_eq(status, TANDEM_E_CONFIG);
	cr_assert_eq(error.code, TANDEM_E_CONFIG);
	cr_assert_eq(error.os_errno, 0);
	cr_assert_eq(error.wc_status, 0);
	cr_assert_str_eq(error.operation, "check");
	cr_assert_str_eq(error.detail, "port 7");
	cr_assert_eq(tandem_error_set(NULL, TANDEM_E_CONFIG, "check", "x"), TANDEM_E_CONFIG);
}

Test(error, a_system_error_adds_its_text)
{
	struct tandem_error error;
	int status = tandem_error_set_errno(&error, TANDEM_E_SYSTEM, ENOENT, "open", "%s", "/x");
	cr_assert_eq(status, TANDEM_E_SYSTEM);
	cr_assert_eq(error.os_errno, ENOENT);
	cr_assert_str_eq(error.detail, "/x: No such file or directory");
}

Test(error, wrap_puts_the_outer_before_the_inner)
{
	struct tandem_error error;
	tandem_error_set(&error, TANDEM_E_DEVICE, "open", "no device");
	cr_assert_eq(tandem_error_wrap(&error, TANDEM_E_SYSTEM, "connect %s", "b"),
	             TANDEM_E_DEVICE);
	cr_assert_str_eq(error.detail, "connect b: no device");
	cr_assert_str_eq(error.operation, "open");
	cr_assert_eq(tandem_error_wrap(NULL, TANDEM_E_SYSTEM, "x"), TANDEM_E_SYSTEM);
}

Test(error, an_argument_may_lie_in_the_error_itself)
{
	struct tandem_error error;
	tandem_error_set(&error, TANDEM_E_DEVICE, "open", "inner");
	tandem_error_set(&error, TANDEM_E_REFUSED, error.operation, "outer of %s", error.detail);
	cr_assert_str_eq(error.detail, "outer of inner");
}

Test(error, long_texts_are_cut)
{
	struct tandem_error error;
	char text[1000];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	tandem_error_set(&error, TANDEM_E_DEVICE, text, "%s", text);
	cr_assert_eq(strlen(error.detail), sizeof(error.detail) - 1);
	cr_assert_eq(strlen(error.operation), sizeof(error.operation) - 1);
	tandem_error_wrap(&error, TANDEM_E_DEVICE, "%s", text);
	cr_assert_eq(strlen(error.detail), sizeof(error.detail) - 1);
}
