/*
 * What libcurl is told of an account.
 */
#ifndef SMAILER_SMTP_SESSION_OPTIONS_H
#define SMAILER_SMTP_SESSION_OPTIONS_H

#include <curl/curl.h>

#include "smtp/session.h"

/* Sets EASY up to connect as SETTINGS say; they must live as long as it. */
void session_set_options(CURL *easy, const struct session_settings *settings);

#endif
