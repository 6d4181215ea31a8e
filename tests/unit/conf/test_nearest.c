#include <criterion/criterion.h>

#include <tandem/config.h>

static const char *const words[] = {"channels", "provider", "tracker", "ping_interval_ms",
                                    "key",      "key_file", NULL};

Test(nearest, finds_what_was_meant)
{
	cr_assert_str_eq(tandem_config_nearest("chanels", words), "channels");
	cr_assert_str_eq(tandem_config_nearest("chnanels", words), "channels");
	cr_assert_str_eq(tandem_config_nearest("channel", words), "channels");
	cr_assert_str_eq(tandem_config_nearest("providre", words), "provider");
	cr_assert_str_eq(tandem_config_nearest("ping_intervall", words), "ping_interval_ms");
	cr_assert_str_eq(tandem_config_nearest("keyfile", words), "key_file");
	cr_assert_str_eq(tandem_config_nearest("kez", words), "key");
}

Test(nearest, does_not_guess)
{
	static const char *const none[] = {NULL};
	char longest[200];
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	cr_assert_null(tandem_config_nearest("bandwidth", words));
	cr_assert_null(tandem_config_nearest("channels", none));
	cr_assert_null(tandem_config_nearest(longest, words));
	cr_assert_null(tandem_config_nearest("", none));
}
