#ifndef TANDEM_QEMU_QMP_MESSAGE_H
#define TANDEM_QEMU_QMP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tandem/error.h>
#include <tandem/qemu_version.h>

struct json_object;

/* One line of QMP, QEMU's control protocol (docs/interop/qmp-spec of QEMU). Any bytes are safe to
 * parse: a guest may have taken over its QEMU. */
#define TANDEM_QMP_LINE_BYTES_MAX ((size_t)1 << 20)

enum tandem_qmp_message_type {
	TANDEM_QMP_GREETING, /* version and whether commands can come out of band */
	TANDEM_QMP_ANSWER,   /* `value` */
	TANDEM_QMP_REFUSAL,  /* `name` and `detail` */
	TANDEM_QMP_EVENT,    /* `name`, and `value` or NULL */
};

struct tandem_qmp_message {
	enum tandem_qmp_message_type type;
	bool has_out_of_band;
	bool has_id;
	uint64_t id;
	struct tandem_qemu_numbers version;
	const char *name; /* borrowed from `root`, as what follows */
	const char *detail;
	struct json_object *value;
	struct json_object *root;
};

/* The caller ends what it got with tandem_qmp_message_end(). Errors: TANDEM_E_PROTOCOL,
 * TANDEM_E_MEMORY. */
int tandem_qmp_message_parse(const char *line, size_t length,
                             struct tandem_qmp_message *ret_message,
                             struct tandem_error *reterr_error);
void tandem_qmp_message_end(struct tandem_qmp_message *message);

#endif
