/*
 * The commands that carry something of a mail's: MAIL and RCPT with their parameters.
 */
#ifndef SMAILER_SMTP_COMMAND_H
#define SMAILER_SMTP_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "smtp/capability.h"

/* Octets of the longest command, with its CRLF. */
#define COMMAND_SIZE_MAX 2048

/* Parameters of MAIL beside the sender. NULL, 0 or false: not given. */
struct mail_parameters {
    uint64_t size;
    bool eight_bit;
    bool smtputf8;
    const char *return_part; /* RET=: "FULL" or "HDRS" */
    const char *auth; /* AUTH= (RFC 4954, section 5) */
    char by_mode; /* BY= (RFC 2852): 'R' or 'N'; '\0': none */
    bool by_trace;
    int64_t by_time; /* seconds that are left; below 0: that it is too late */
    const char *envelope_id; /* ENVID=, in xtext (RFC 3461, section 4) */
};

struct recipient_parameters {
    const char *notify; /* NOTIFY=: "NEVER", or a list */
    const char *original; /* ORCPT=, "rfc822;…" in xtext */
};

/* True where ADDRESS can stand between < and > and be nothing else to the server than an address:
 * no control character, no blank or bracket outside of a quoted part, not too long. The last
 * line of defence: that it is a valid address was checked long before. */
bool address_is_safe(const char *address);

/* True where it has octets outside ASCII, so that SMTPUTF8 is needed. */
bool address_is_international(const char *address);

/* Writes "MAIL FROM:<SENDER> …" with CRLF and the parameters that CAPABILITIES allow to TARGET.
 * Returns its octets, 0 where something in it is not safe or too long. */
size_t command_mail(char target[static COMMAND_SIZE_MAX], const char *sender,
    const struct mail_parameters *parameters, const struct capabilities *capabilities);

/* The same for "RCPT TO:<RECIPIENT> …". */
size_t command_rcpt(char target[static COMMAND_SIZE_MAX], const char *recipient,
    const struct recipient_parameters *parameters, const struct capabilities *capabilities);

#endif
