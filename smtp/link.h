/*
 * A worker's connection: one session after the other is tried, along the route, until one works or
 * none is left.
 */
#ifndef SMAILER_SMTP_LINK_H
#define SMAILER_SMTP_LINK_H

#include <openssl/x509.h>

#include "lib/configuration.h"
#include "smtp/route.h"
#include "smtp/session.h"

#define LINK_RELAY_SIZE 321
#define LINK_WORDS_SIZE 1001

struct link {
    struct event_base *base;
    const struct account_settings *account;
    const struct session_events *events; /* whose context is NULL */
    struct session_settings settings;
    struct route route;
    struct session *session; /* NULL: none */
    struct session_failure failure; /* the last that was a server's, or the way's to it */
    char words[LINK_WORDS_SIZE]; /* its words */
    char relay[LINK_RELAY_SIZE]; /* of the session, or of that failure */
};

/* For ACCOUNT, with SECRET; everything must live as long as the link. */
void link_init(struct link *link, struct event_base *base, const struct account_settings *account,
    X509_STORE *authorities, const char *local_name, const char *secret,
    const struct session_events *events);

/* Begins to connect. One of connected() and failed() is called later; with failed(), the session
 * is gone already. */
void link_open(struct link *link);

void link_close(struct link *link);

#endif
