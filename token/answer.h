/*
 * What a token_command printed.
 */
#ifndef SMAILER_TOKEN_ANSWER_H
#define SMAILER_TOKEN_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

/* Octets of the longest token, with its NUL. */
#define ANSWER_TOKEN_SIZE 12289

/* How long a token is kept of which the command says nothing, and at the most, in ms. */
#define ANSWER_LIFETIME_STANDARD (300 * INT64_C(1000))
#define ANSWER_LIFETIME_MOST (INT64_C(24) * 3600 * 1000)

struct answer {
    char token[ANSWER_TOKEN_SIZE];
    int64_t lifetime; /* ms */
};

/* From here on, what libjansson needs to read an answer is wiped as it is freed. Once a process. */
void answer_prepare(void);

/* Reads the LENGTH octets at OCTETS: an OAuth response (RFC 6749, section 5.1), or the token in the
 * first line and "expires_in SECONDS" in one that follows. Where there is no token, ERROR says why:
 * with what an error response says for people (section 5.2), and nothing else of the octets. */
bool answer_read(const char *octets, size_t length, struct answer *answer, struct error *error);

#endif
