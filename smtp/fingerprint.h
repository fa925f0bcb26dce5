/*
 * The fingerprint of a relay's certificate, in place of authorities that vouch for it.
 */
#ifndef SMAILER_SMTP_FINGERPRINT_H
#define SMAILER_SMTP_FINGERPRINT_H

#include <stddef.h>

#include <openssl/ssl.h>

#include "lib/fingerprint.h"
#include "lib/value.h"

struct fingerprint_check {
    const struct text_list *wanted; /* as fingerprint_normalize() takes them; count 0: none */
    char certificate[FINGERPRINT_SIZE]; /* what the relay showed, "" where it fitted or none came */
    char key[FINGERPRINT_SIZE];
};

/* From now on a handshake with CONTEXT succeeds where the relay's certificate, or its public key,
 * is one of those that are wanted, and not otherwise. CHECK must outlive CONTEXT. */
void fingerprint_require(SSL_CTX *context, struct fingerprint_check *check);

/* Says in TEXT what the relay showed, where that was not what is wanted; returns TEXT. */
const char *fingerprint_explain(const struct fingerprint_check *check, char *text, size_t size);

#endif
