#ifndef TANDEM_CONF_FORM_H
#define TANDEM_CONF_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/config.h>

/* Whether a text of the file has the form that its key needs. Any bytes are safe. */
bool tandem_config_is_name(const char *text);
bool tandem_config_is_path(const char *text);
/* An absolute path, or a plain file name. */
bool tandem_config_is_agent(const char *text);
/* Printable ASCII. */
bool tandem_config_is_words(const char *text);
/* "ungated", or one to eight gates of a virtual machine with blanks between: "user:X", "plug:X". */
bool tandem_config_is_network(const char *text);
/* "http://HOST:PORT" or "https://HOST:PORT", nothing behind; an IPv6 address in brackets. */
bool tandem_config_is_url(const char *text);
/* One of "a|b|c". */
bool tandem_config_is_choice(const char *text, const char *choices);
/* True and the key, or false: not exactly two digits a byte. */
bool tandem_config_hex_read(const char *text, struct tandem_key *ret_key);
/* `text` has room for two digits a byte and the end. */
void tandem_config_hex_write(const struct tandem_key *key, char *text);

/* "127.0.0.1", "::1": nobody from outside reaches it. */
bool tandem_config_is_loopback(const char *address);

#endif
