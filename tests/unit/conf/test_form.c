#include <criterion/criterion.h>
#include <string.h>

#include "core/form.h"

Test(form, name)
{
	cr_assert(tandem_config_is_name("a"));
	cr_assert(tandem_config_is_name("node-1_b"));
	cr_assert(tandem_config_is_name("a234567890123456789012345678901"));
	cr_assert_not(tandem_config_is_name("a2345678901234567890123456789012"));
	cr_assert_not(tandem_config_is_name(""));
	cr_assert_not(tandem_config_is_name("A"));
	cr_assert_not(tandem_config_is_name("a.b"));
	cr_assert_not(tandem_config_is_name("../x"));
	cr_assert_not(tandem_config_is_name("\xc3\xa4"));
}

Test(form, path)
{
	cr_assert(tandem_config_is_path("/"));
	cr_assert(tandem_config_is_path("/run/tandem dir"));
	cr_assert_not(tandem_config_is_path("run"));
	cr_assert_not(tandem_config_is_path(""));
	cr_assert_not(tandem_config_is_path("/run\n/x"));
}

Test(form, agent)
{
	cr_assert(tandem_config_is_agent("fence_ipmilan"));
	cr_assert(tandem_config_is_agent("/opt/fence/off.sh"));
	cr_assert_not(tandem_config_is_agent(""));
	cr_assert_not(tandem_config_is_agent("../off"));
	cr_assert_not(tandem_config_is_agent("bin/off"));
	cr_assert_not(tandem_config_is_agent("off now"));
	cr_assert_not(tandem_config_is_agent(".."));
}

Test(form, words)
{
	cr_assert(tandem_config_is_words(""));
	cr_assert(tandem_config_is_words("ip=10.9.0.1 plug=3"));
	cr_assert_not(tandem_config_is_words("ip=1\nplug=3"));
	cr_assert_not(tandem_config_is_words("\xc3\xa4"));
}

Test(form, url)
{
	static const char *const good[] = {"http://10.0.0.3:2379", "https://etcd-1.lan:1",
	                                   "http://[fd00::1]:65535"};
	static const char *const bad[] = {"",
	                                  "http://",
	                                  "http://a",
	                                  "http://a:",
	                                  "http://a:0",
	                                  "http://a:65536",
	                                  "http://a:1/",
	                                  "http://a:1/v3",
	                                  "ftp://a:1",
	                                  "http://u@a:1",
	                                  "http://:1",
	                                  "http://fd00::1:2379",
	                                  "http://[]:1",
	                                  "http://[::1:2",
	                                  "HTTP://a:1",
	                                  "http://a b:1",
	                                  "http://a:+1"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_assert(tandem_config_is_url(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_not(tandem_config_is_url(bad[i]), "%s", bad[i]);
}

Test(form, choice)
{
	cr_assert(tandem_config_is_choice("tcp", "auto|rdma|tcp"));
	cr_assert(tandem_config_is_choice("auto", "auto|rdma|tcp"));
	cr_assert_not(tandem_config_is_choice("", "auto|rdma|tcp"));
	cr_assert_not(tandem_config_is_choice("aut", "auto|rdma|tcp"));
	cr_assert_not(tandem_config_is_choice("auto|rdma", "auto|rdma|tcp"));
	cr_assert_not(tandem_config_is_choice("tcpx", "auto|rdma|tcp"));
}

Test(form, hex_key)
{
	static const uint8_t expected[] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
	                                   0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
	struct tandem_key key = {.bytes = {7}};
	char text[2 * TANDEM_KEY_BYTES + 1];
	cr_assert(tandem_config_hex_read("00112233445566778899aAbBccddeeff", &key));
	cr_assert_arr_eq(key.bytes, expected, sizeof(expected));
	tandem_config_hex_write(&key, text);
	cr_assert_str_eq(text, "00112233445566778899aabbccddeeff");
	cr_assert_not(tandem_config_hex_read("00112233445566778899aabbccddeef", &key));
	cr_assert_not(tandem_config_hex_read("00112233445566778899aabbccddeefff", &key));
	cr_assert_not(tandem_config_hex_read("00112233445566778899aabbccddeefg", &key));
	cr_assert_not(tandem_config_hex_read("", &key));
	cr_assert_arr_eq(key.bytes, expected, sizeof(expected), "set on success only");
}

Test(form, loopback)
{
	cr_assert(tandem_config_is_loopback("127.0.0.1"));
	cr_assert(tandem_config_is_loopback("127.9.9.9"));
	cr_assert(tandem_config_is_loopback("::1"));
	cr_assert(tandem_config_is_loopback("::ffff:127.0.0.1"));
	cr_assert_not(tandem_config_is_loopback("128.0.0.1"));
	cr_assert_not(tandem_config_is_loopback("::ffff:10.0.0.1"));
	cr_assert_not(tandem_config_is_loopback("::12"));
	cr_assert_not(tandem_config_is_loopback("12.7.0.0"));
}
