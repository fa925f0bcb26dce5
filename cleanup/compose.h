/*
 * The finished message (RFC 5322) of a mail.
 */
#ifndef SMAILER_CLEANUP_COMPOSE_H
#define SMAILER_CLEANUP_COMPOSE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "cleanup/address.h"
#include "cleanup/mail.h"
#include "cleanup/output.h"

struct compose_settings {
    const char *sender_name; /* shown beside the sender; may be "" */
    uint64_t hash; /* of the mail's id, which makes its Message-ID */
    time_t now; /* for Date */
    /* In testing the mail goes to another address, its true recipient in a header; NULL else. */
    const struct address *testing;
    const struct address *tester; /* the sender then; NULL: the mail's */
};

/* The addresses that the mail's envelope and header really have. */
struct envelope {
    const struct address *sender;
    const struct address *recipient;
    bool eight_bit; /* the message has octets above 127 */
    bool needs_smtputf8; /* an address outside ASCII in envelope or header (RFC 6531) */
};

/* Who MAIL goes from and to; points into MAIL and SETTINGS. */
struct envelope compose_envelope(const struct mail *mail, const struct compose_settings *settings);

/* Writes the message of MAIL to OUTPUT, whose former octets are gone: lines of 998 at the most that
 * CRLF ends, dots not yet stuffed. */
void compose_message(
    struct output *output, const struct mail *mail, const struct compose_settings *settings);

#endif
