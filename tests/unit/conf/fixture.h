#ifndef TEST_CONF_FIXTURE_H
#define TEST_CONF_FIXTURE_H

#include <tandem/config.h>

/* A whole file with the given text in the place of a marker; every marker has a line of its own. */
struct edit {
	const char *cluster;  /* line 1 */
	const char *node_a;   /* line 4, a further line of the node */
	const char *node_b;   /* line 9 */
	const char *pair;     /* line 14, a further line of the pair */
	const char *nodes;    /* line 12 */
	const char *arbiter;  /* line 13 */
	const char *more;     /* line 16 */
	const char *security; /* line 11, instead of insecure = true */
};

#define EDIT_NONE ((struct edit){.cluster = NULL})

/* Loads the edited file; NULL and the mistakes when it has some. Free both. */
struct tandem_config *load_edited(const struct edit *edit, struct tandem_config_mistakes *mistakes);
/* The same where no mistake is expected. */
struct tandem_config *load_good(const struct edit *edit);

#endif
