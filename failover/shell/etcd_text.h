#ifndef TANDEM_FAILOVER_ETCD_TEXT_H
#define TANDEM_FAILOVER_ETCD_TEXT_H

#include <tandem/error.h>

#include "core/etcd.h"

/* Requests and answers of etcd's JSON gateway, POST /v3/kv/txn; bytes are base64 there. No I/O. */
#define TANDEM_ETCD_PATH          "/v3/kv/txn"
#define TANDEM_ETCD_KEY_BYTES     160
#define TANDEM_ETCD_REQUEST_BYTES 1536
#define TANDEM_ETCD_ANSWER_BYTES  16384 /* a right one has about 600 */

/* Reads the key by a transaction that could write, so that it takes its place among all others:
 * it waits for a majority, and it fails when a CAS would. It writes nothing. */
void tandem_etcd_spell_read(const char *key, char ret_text[static TANDEM_ETCD_REQUEST_BYTES]);
/* `expected` NULL: the key must not exist. */
void tandem_etcd_spell_cas(const char *key, const uint8_t *expected, const uint8_t *desired,
                           char ret_text[static TANDEM_ETCD_REQUEST_BYTES]);
/* `is_cas`: which of the two was asked. TANDEM_E_PROTOCOL for what no etcd would answer. */
TANDEM_MUST_CHECK int tandem_etcd_read_answer(const char *text, size_t length, bool is_cas,
                                              struct tandem_etcd_answer *ret_answer,
                                              struct tandem_error *reterr_error);
/* The reason in an answer that is a refusal, cut and made printable; "" without one. */
void tandem_etcd_read_refusal(const char *text, size_t length, char *ret_text, size_t size);

#endif
