/*
 * What libcurl is told of an account.
 */
#ifndef SMAILER_SMTP_SESSION_OPTIONS_H
#define SMAILER_SMTP_SESSION_OPTIONS_H

#include <curl/curl.h>

#include "smtp/fingerprint.h"
#include "smtp/session.h"

/* What libcurl's callbacks know and find out. */
struct session_hooks {
    const struct session_settings *settings;
    struct fingerprint_check fingerprint;
    unsigned sockets; /* so many were made */
};

/* Sets EASY up to connect as the hooks' settings say; HOOKS, of which nothing else needs to be
 * filled in, must live as long as it. */
void session_set_options(CURL *easy, struct session_hooks *hooks);

#endif
