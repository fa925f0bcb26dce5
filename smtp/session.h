/*
 * A session with a relay, by libcurl: connected, encrypted and logged in. What is said after that
 * is the transaction's; see transaction.h.
 *
 * Everything happens within the loop of events; nothing here blocks.
 */
#ifndef SMAILER_SMTP_SESSION_H
#define SMAILER_SMTP_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>
#include <openssl/x509.h>

#include "lib/configuration.h"
#include "lib/outcome.h"
#include "smtp/capability.h"
#include "smtp/route.h"

struct session;

/* All texts and the store must live as long as the session. */
struct session_settings {
    const char *host;
    uint16_t port;
    enum tls_mode tls;
    X509_STORE *authorities;
    enum tls_minimum tls_minimum;
    const struct text_list *fingerprints; /* where there are some, they decide, not AUTHORITIES */
    const struct route_avoided *avoided; /* addresses that are not connected to */
    const char *user; /* "": no login */
    enum auth auth;
    const char *password; /* or token */
    bool plaintext_login; /* it may go over a connection that is not encrypted */
    const char *local_name; /* said with EHLO */
    int64_t connect_timeout; /* ms, for the TCP connection */
    int64_t timeout; /* ms, for each answer after that */
};

/* Why there is no session: outcome_decide() says what it means. */
struct session_failure {
    enum stage stage;
    unsigned code; /* 0: the server said nothing of it */
    struct enhanced_code enhanced;
    const char *words;
};

/* From within each of these the session may be closed. */
struct session_events {
    void (*connected)(void *context);
    void (*failed)(void *context, const struct session_failure *failure);
    /* Once connected: there may be something to receive; there may be room to send again. */
    void (*readable)(void *context);
    void (*writable)(void *context);
    /* A line of the dialogue up to the login, secrets blanked; may be NULL. Not for closing. */
    void (*spoken)(void *context, bool by_us, const char *line, size_t length);
};

enum session_progress {
    SESSION_DONE,
    SESSION_AGAIN, /* nothing can be had, or taken, now */
    SESSION_ENDED, /* the server ended the connection */
    SESSION_BROKEN
};

/* Begins to connect. One of connected() and failed() is called later, never from within. */
struct session *session_open(struct event_base *base, const struct session_settings *settings,
    const struct session_events *events, void *context);

/* Closes at once, without QUIT. NULL is allowed. */
void session_close(struct session *session);

/* The same for one that failed, without a wait for a lookup that nobody answers. */
void session_abandon(struct session *session);

/* The address that is, or was, connected to; "" for none. */
const char *session_address(const struct session *session);

/* False where there was no address left that is not avoided. */
bool session_was_tried(const struct session *session);

/* What follows is for a connected session only. */

const struct capabilities *session_capabilities(const struct session *session);

/* True where TLS is on: a send that has to be repeated may have gone out in part. */
bool session_encrypted(const struct session *session);

/* Octets that go out now. After SESSION_AGAIN the same ones must be sent again once writable() was
 * called. */
enum session_progress session_send(
    struct session *session, const char *octets, size_t length, size_t *sent);

/* Octets that are there. To be called until SESSION_AGAIN, for TLS may have more than the socket
 * shows; without TLS, until less came than there was room for. */
enum session_progress session_receive(
    struct session *session, char *octets, size_t size, size_t *received);

/* At any time: "relay.example.com[192.0.2.1]:587"; without the address where it is not known. */
const char *session_relay(struct session *session);

#endif
