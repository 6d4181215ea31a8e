#ifndef TANDEM_KV_OPTIONS_H
#define TANDEM_KV_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <tandem/error.h>
#include <tandem/tandem.h>

#define TANDEM_KV_MAP_BYTES_MIN ((size_t)2 << 20)
#define TANDEM_KV_MAP_BYTES_MAX ((size_t)1 << 40)

/* What the command line and, on a take-over, the environment say. Texts are borrowed from both. */
struct tandem_kv_options {
	const char *pair;
	const char *run_directory; /* NULL: the library's default */
	const char *listen_text;   /* ADDRESS:PORT as given */
	struct sockaddr_storage listen_address;
	int listen_address_bytes;
	const char *map_path; /* NULL: a fresh file that is unlinked */
	size_t map_bytes;
	bool is_map_bytes_given;
	enum tandem_tracker tracker;
	bool is_standalone;
	uint64_t stall_timeout_ns; /* a client that reads nothing of its replies for so long goes */

	bool is_takeover; /* tandemd started this process to go on from the image */
	const char *image_directory;
};

enum tandem_kv_options_result {
	TANDEM_KV_OPTIONS_RUN,
	TANDEM_KV_OPTIONS_HELP, /* --help was given and answered on stdout */
	TANDEM_KV_OPTIONS_WRONG,
};

/* Reads the command line and tandem_recovery_read(). On WRONG the error says what is. */
enum tandem_kv_options_result tandem_kv_options_read(int argument_count, char *const *arguments,
                                                     struct tandem_kv_options *ret_options,
                                                     struct tandem_error *reterr_error);

#endif
