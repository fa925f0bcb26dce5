/*
 * What becomes of a mail: sent, deferred or dropped. Decided here and nowhere else, so that the
 * worker who logs it and the scheduler who moves the file cannot disagree.
 */
#ifndef SMAILER_OUTCOME_H
#define SMAILER_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum outcome { OUTCOME_SENT, OUTCOME_DEFERRED, OUTCOME_DROPPED };

/* Where in its delivery a mail was when something answered, or nothing did. */
enum stage {
    STAGE_UNTRIED, /* nothing was asked about this mail: it goes again at once, and it is no attempt
                    */
    STAGE_TOKEN, /* the account's token, which is wanted before a connection */
    STAGE_CONNECT,
    STAGE_TLS,
    STAGE_GREETING,
    STAGE_EHLO,
    STAGE_LOGIN,
    STAGE_MAIL,
    STAGE_RCPT,
    STAGE_DATA,
    STAGE_CONTENT, /* the reply to the final dot, or what broke before it went out */
    STAGE_UNKNOWN, /* the final dot went out, its reply never came */
    STAGE_COUNT
};

/* An enhanced status code (RFC 3463), class.subject.detail; class 0 where there is none. */
struct enhanced_code {
    uint8_t class;
    uint16_t subject;
    uint16_t detail;
};

/* Octets that any enhanced code fits into as text, with its NUL. */
#define ENHANCED_TEXT_SIZE 16

struct decision {
    enum outcome outcome;
    const char *reason; /* for people, in words; never NULL */
    struct enhanced_code enhanced; /* the given one, or the one that says the same */
};

/* What a reply CODE (0: there was none) and ENHANCED code at STAGE mean for the mail. An enhanced
 * code whose class contradicts CODE is ignored (RFC 2034, section 4). Any values are allowed; what
 * makes no sense defers. */
struct decision outcome_decide(enum stage stage, unsigned code, struct enhanced_code enhanced);

/* "sent", "deferred", "dropped", as status= has them. */
const char *outcome_name(enum outcome outcome);

/* What the program was doing, for "lost connection while ..." */
const char *stage_name(enum stage stage);

/* Reads the enhanced code that the LENGTH octets at TEXT begin with, up to a blank or their end.
 * Returns how many octets it has; 0 where there is none, and then ENHANCED has class 0. */
size_t enhanced_parse(const char *text, size_t length, struct enhanced_code *enhanced);

/* "5.7.1", or "" for none; returns TARGET. */
char *enhanced_print(struct enhanced_code enhanced, char target[static ENHANCED_TEXT_SIZE]);

#endif
