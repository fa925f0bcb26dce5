/*
 * What the parts of session.h's session know of it.
 */
#ifndef SMAILER_SMTP_SESSION_PARTS_H
#define SMAILER_SMTP_SESSION_PARTS_H

#include <curl/curl.h>

#include "smtp/dialogue.h"
#include "smtp/session.h"
#include "smtp/session_options.h"

#define SESSION_RELAY_SIZE 400

struct session {
    struct event_base *base;
    const struct session_settings *settings;
    const struct session_events *events;
    void *context;
    CURLM *multi;
    CURL *easy;
    struct event *curl_timer; /* when libcurl wants to be called */
    struct event *limit; /* for what is awaited now */
    struct event *readable; /* once connected */
    struct event *writable;
    struct dialogue dialogue;
    bool moved; /* something was said since the limit was set */
    bool tcp_connected;
    bool over; /* connected() or failed() is told */
    struct session_hooks hooks;
    char relay[SESSION_RELAY_SIZE];
    char problem[CURL_ERROR_SIZE + 2 * FINGERPRINT_SIZE];
};

/* Tells that the session failed at STAGE: with REPLY, where it is a refusal (NULL: there is none),
 * or with WORDS; "": the connection was lost. */
void session_fail(
    struct session *session, enum stage stage, const struct reply *reply, const char *words);

/* The same, with what libcurl's CODE, which is no success, and the server's last words say. */
void session_fail_by_code(struct session *session, CURLcode code);

#endif
