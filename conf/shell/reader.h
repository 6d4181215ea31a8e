#ifndef TANDEM_CONF_READER_H
#define TANDEM_CONF_READER_H

#include <libconfig.h>

#include "core/schema.h"

/* Inside the loader: the parsed file on one side, the structs on the other. A value that is wrong
 * stays zero or empty in the struct; the checks behind it pass over such a value, so that one
 * mistake is told once. */
struct tandem_config_reader {
	const config_t *tree;
	struct tandem_config *config;
	struct tandem_config_mistakes *mistakes;
};

/* mistakes.c: `where` is the key's whole path. */
void tandem_config_mistake_add(struct tandem_config_mistakes *mistakes, unsigned line,
                               const char *where, const char *format, ...) TANDEM_PRINTF(4, 5);
/* About `setting` itself. */
void tandem_config_mistake_at(struct tandem_config_reader *reader, const config_setting_t *setting,
                              const char *format, ...) TANDEM_PRINTF(3, 4);
/* About the member `name` of `group`: its line, or the group's when it is not there. */
void tandem_config_mistake_in(struct tandem_config_reader *reader, const config_setting_t *group,
                              const char *name, const char *format, ...) TANDEM_PRINTF(4, 5);
/* "pairs[0].arbiter" */
void tandem_config_where(const config_setting_t *setting, char *where, size_t where_bytes);
void tandem_config_mistakes_sort(struct tandem_config_mistakes *mistakes);

/* value.c: one scalar into its field; `field` is what key->offset says. */
void tandem_config_value_read(struct tandem_config_reader *reader,
                              const struct tandem_config_key *key, const config_setting_t *setting,
                              void *field);
void tandem_config_value_default(const struct tandem_config_key *key, void *field);
/* The value as the file has it, for messages: "\"tpc\"", "17", "a group". */
void tandem_config_value_text(const config_setting_t *setting, char *text, size_t text_bytes);

/* read.c: the whole tree. */
void tandem_config_read(struct tandem_config_reader *reader);

/* load.c: who looks at a file that has no mistakes while its tree is still there. */
typedef void tandem_config_look(struct tandem_config_reader *reader, void *argument);
TANDEM_MUST_CHECK int tandem_config_load_and_look(const char *path,
                                                  struct tandem_config **ret_config,
                                                  struct tandem_config_mistakes *mistakes,
                                                  tandem_config_look *look, void *argument,
                                                  struct tandem_error *reterr_error);

/* check.c, check_pair.c, check_arbiter.c: what no single value shows. */
void tandem_config_check(struct tandem_config_reader *reader);
void tandem_config_check_pair(struct tandem_config_reader *reader, size_t index);
/* `nodes`: the pair's, NULL for one that is not known. */
void tandem_config_check_arbiter(struct tandem_config_reader *reader,
                                 const struct tandem_config_pair *pair,
                                 const config_setting_t *pair_setting,
                                 const struct tandem_config_node *const nodes[2]);

#endif
