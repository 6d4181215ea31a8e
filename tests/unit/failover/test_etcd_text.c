#include <criterion/criterion.h>
#include <string.h>
#include <tandem/base64.h>

#include "shell/etcd_text.h"

#define HEADER "\"header\":{\"cluster_id\":\"7\",\"member_id\":\"1\",\"revision\":\"5\"}"

static int decode(const char *text, bool is_cas, struct tandem_etcd_answer *answer)
{
	struct tandem_error error;
	return tandem_etcd_read_answer(text, strlen(text), is_cas, answer, &error);
}

Test(etcd_text, the_answers_of_a_server_are_understood)
{
	struct tandem_etcd_answer answer;
	cr_assert(decode("{" HEADER ",\"succeeded\":true,\"responses\":[{\"response_put\":{}}]}",
	                 true, &answer) == 0);
	cr_expect(answer.cluster_id == 7 && answer.has_succeeded && !answer.has_value);
	cr_assert(decode("{" HEADER ",\"succeeded\":true,\"responses\":[{\"response_range\":{}}]}",
	                 false, &answer) == 0);
	cr_expect(!answer.has_value);
	cr_assert(decode("{" HEADER
	                 ",\"responses\":[{\"response_range\":{\"kvs\":[{\"key\":\"aw==\","
	                 "\"value\":\"Zm9v\"}],\"count\":\"1\"}}]}",
	                 true, &answer) == 0);
	cr_expect(!answer.has_succeeded && answer.has_value && answer.value_length == 3);
	cr_expect(memcmp(answer.value, "foo", 3) == 0);
	/* A value without bytes is left out, one that is too long is none of ours. */
	cr_assert(decode("{" HEADER
	                 ",\"responses\":[{\"response_range\":{\"kvs\":[{\"key\":\"aw==\"}]}}]}",
	                 true, &answer) == 0);
	cr_expect(answer.has_value && answer.value_length == 0);
}

Test(etcd_text, an_answer_to_something_else_is_refused)
{
	static const struct {
		bool is_cas;
		const char *text;
	} rows[] = {
	        {true, ""},
	        {true, "[]"},
	        {true, "{"},
	        {true, "{" HEADER "}"},
	        {true, "{" HEADER ",\"succeeded\":true,\"responses\":[]}"},
	        {true, "{" HEADER ",\"succeeded\":true,\"responses\":[{\"response_range\":{}}]}"},
	        {true, "{" HEADER ",\"responses\":[{\"response_put\":{}}]}"},
	        {true, "{" HEADER ",\"succeeded\":true,\"responses\":[{\"response_put\":{}},"
	               "{\"response_put\":{}}]}"},
	        {true, "{" HEADER ",\"succeeded\":\"true\",\"responses\":[{\"response_put\":{}}]}"},
	        {true, "{\"succeeded\":true,\"responses\":[{\"response_put\":{}}]}"},
	        {true, "{\"header\":{\"cluster_id\":7},\"succeeded\":true,"
	               "\"responses\":[{\"response_put\":{}}]}"},
	        {true, "{\"header\":{\"cluster_id\":\"-7\"},\"succeeded\":true,"
	               "\"responses\":[{\"response_put\":{}}]}"},
	        {true, "{\"header\":{\"cluster_id\":\"18446744073709551616\"},\"succeeded\":true,"
	               "\"responses\":[{\"response_put\":{}}]}"},
	        /* A reading whose comparison did not hold would have written. */
	        {false, "{" HEADER ",\"responses\":[{\"response_put\":{}}]}"},
	        {false, "{" HEADER ",\"responses\":[{\"response_range\":{}}]}"},
	        {false, "{\"error\":\"etcdserver: no leader\",\"code\":14}"},
	};
	struct tandem_etcd_answer answer;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_expect(decode(rows[i].text, rows[i].is_cas, &answer) == TANDEM_E_PROTOCOL, "%s",
		          rows[i].text);
}

Test(etcd_text, requests_fit_with_the_longest_key_and_name_it_everywhere)
{
	char key[TANDEM_ETCD_KEY_BYTES], name[TANDEM_BASE64_BYTES(TANDEM_ETCD_KEY_BYTES)];
	char text[TANDEM_ETCD_REQUEST_BYTES];
	uint8_t value[TANDEM_ETCD_VALUE_BYTES];
	memset(key, 'k', sizeof(key));
	memset(value, 0xff, sizeof(value));
	key[sizeof(key) - 1] = 0;
	tandem_base64_encode(key, strlen(key), name);
	tandem_etcd_spell_cas(key, value, value, text);
	cr_expect(text[strlen(text) - 1] == '}');
	unsigned count = 0;
	for (const char *at = text; (at = strstr(at, name)); at++)
		count++;
	cr_expect(count == 3);
	tandem_etcd_spell_read(key, text);
	cr_expect(text[strlen(text) - 1] == '}');
}

Test(etcd_text, a_refusal_is_cut_and_printable)
{
	static const char text[] = "{\"error\":\"no\\u0007 leader\\nfor a long time\"}";
	char reason[16];
	tandem_etcd_read_refusal(text, strlen(text), reason, sizeof(reason));
	cr_expect_str_eq(reason, "no? leader?for ");
	tandem_etcd_read_refusal("<html>", 6, reason, sizeof(reason));
	cr_expect_str_eq(reason, "");
}
