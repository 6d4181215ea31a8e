#include <criterion/criterion.h>

#include "core/scan.h"

static void expect_large(const char *text, size_t expected_offset, size_t expected_length)
{
	size_t offset = 0;
	size_t length = tandem_config_scan_large(text, 0, &offset);
	cr_assert_eq(length, expected_length, "%s: length %zu", text, length);
	cr_assert_eq(offset, expected_offset, "%s: offset %zu", text, offset);
}

Test(scan, large_numbers)
{
	expect_large("x = 2147483648;", 4, 10);
	expect_large("x = 4294967297;", 4, 10);
	expect_large("x = -4294967297;", 4, 11);
	expect_large("x = [1,0x100000001]", 7, 11);
	expect_large("x = 18446744073709551617L", 4, 21);
	expect_large("a = \"x\"; /* 9 */ b=9999999999", 19, 10);
}

Test(scan, numbers_that_fit)
{
	expect_large("x = 2147483647;", 0, 0);
	expect_large("x = 0x7fffffff; y = 0; z = -1;", 0, 0);
	expect_large("x = 0000000000000000007;", 0, 0);
}

Test(scan, passes_over_names_strings_and_comments)
{
	expect_large("name9999999999 = 1;", 0, 0);
	expect_large("x = \"9999999999\";", 0, 0);
	expect_large("x = \"a\\\"9999999999\";", 0, 0);
	expect_large("# 9999999999\n// 9999999999\n/* 9999999999 */", 0, 0);
	expect_large("/* 9999999999", 0, 0);
	expect_large("\"9999999999", 0, 0);
	expect_large("\"\\", 0, 0);
	expect_large("", 0, 0);
}

Test(scan, goes_on_behind_the_last_one)
{
	const char *text = "x = 9999999999; y = 8888888888;";
	size_t offset = 0;
	size_t length = tandem_config_scan_large(text, 0, &offset);
	cr_assert_eq(tandem_config_scan_large(text, offset + length, &offset), 10);
	cr_assert_eq(offset, 20);
	cr_assert_eq(tandem_config_scan_large(text, offset + 10, &offset), 0);
}

Test(scan, includes)
{
	const char *text = "a = 1;\n \t@include \"x\"\n";
	cr_assert_eq(tandem_config_scan_include(text), text + 7);
	cr_assert_null(tandem_config_scan_include("a = \"@include\";\n"));
	cr_assert_null(tandem_config_scan_include(""));
}
