/*
 * Whom to believe that a relay is who it says: certificate authorities.
 */
#ifndef SMAILER_SMTP_AUTHORITY_H
#define SMAILER_SMTP_AUTHORITY_H

#include <openssl/x509.h>

#include "lib/error.h"

/* The certificates of PATH, or of the system's file where PATH is "", in memory; the caller frees
 * it with X509_STORE_free. Where the file cannot be read, ERROR says so and the store is empty, so
 * that no relay is believed. Takes some 70 ms for the system's: once, in the parent. */
X509_STORE *authority_load(const char *path, struct error *error);

#endif
