#include <stdint.h>
#include <stddef.h>

#include <tandem/assert.h>
#include <tandem/config.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);
/* Seen by the sanitizer's shared library. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);

/* libconfig 1.5 loses the buffer of the last string when it meets a syntax error. A program that
 * reads such a file says so and ends. */
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig_yylex\nleak:strbuf_append\n";
}

/* Any bytes are either a configuration or have at least one mistake, which has a text. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct tandem_config *config = NULL;
	struct tandem_config_mistakes mistakes = TANDEM_CONFIG_MISTAKES_NONE;
	struct tandem_error error = {.code = 0};
	int rc = tandem_config_load_text("fuzz", (const char *)bytes, length, &config, &mistakes,
	                                 &error);
	TANDEM_ASSERT((rc == 0) == (config != NULL));
	TANDEM_ASSERT(rc != TANDEM_E_CONFIG || mistakes.count > 0);
	for (size_t i = 0; i < mistakes.count; i++)
		TANDEM_ASSERT(mistakes.list[i].text[0] != '\0');
	for (size_t i = 0; config && i < config->pair_count; i++) {
		const struct tandem_config_pair *pair = &config->pairs[i];
		const struct tandem_config_node *node = NULL;
		TANDEM_ASSERT(tandem_config_node(config, pair->nodes[0], &node, NULL) == 0);
		TANDEM_ASSERT(tandem_config_peer(config, node, pair) != NULL);
		TANDEM_ASSERT(tandem_config_detect_ns(pair) > 0);
	}
	tandem_config_mistakes_clear(&mistakes);
	tandem_config_free(config);
	return 0;
}
