/*
 * The token of a worker's account, in place of a password: asked of smailer-token (through the
 * parent) before each session, and once more where the relay refused it.
 */
#ifndef SMAILER_SMTP_TOKEN_H
#define SMAILER_SMTP_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/configuration.h"
#include "lib/message.h"
#include "smtp/session.h"

struct token {
    bool used; /* the account logs in by one */
    int64_t asked_at; /* ms, monotonic; 0: it is not awaited */
    uint64_t serial; /* of the one at hand; 0: none */
    bool renewed; /* after it was refused, since a session last came to be */
};

void token_init(struct token *token, const struct account_settings *account);

/* Asks for one; false where the account needs none. */
bool token_ask(struct token *token);

bool token_is_awaited(const struct token *token);

/* A session failed, as FAILURE says. True where its token was refused, and another is asked for. */
bool token_renew(struct token *token, const struct session_failure *failure);

/* A session came to be. */
void token_taken(struct token *token);

/* ANSWER came, whose descriptor stays the caller's. True where a session may be tried with what it
 * brought; else FAILURE, in which the last session's stands, says why there is none. Its words are
 * as long-lived as ANSWER. */
bool token_take(struct token *token, const struct message_worker_token *answer,
    struct session_failure *failure);

/* True where none came in time, as FAILURE then says. */
bool token_is_late(const struct token *token, struct session_failure *failure);

#endif
