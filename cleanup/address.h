/*
 * One mail address, checked.
 */
#ifndef SMAILER_CLEANUP_ADDRESS_H
#define SMAILER_CLEANUP_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"

/* RFC 5321, section 4.5.3.1: in octets; a path of 256 has its angle brackets in it. */
enum { ADDRESS_MAX = 254, ADDRESS_LOCAL_MAX = 64, ADDRESS_DOMAIN_MAX = 255 };

struct address {
    char text[ADDRESS_MAX + 1]; /* local@domain, the domain in ASCII */
    size_t domain; /* where in the text the domain begins */
    bool needs_smtputf8; /* the local part is not ASCII (RFC 6531) */
};

/*
 * Reads the one address in LENGTH octets of UTF-8 at TEXT: a Mailbox of RFC 5321, section 4.1.2, as
 * RFC 6531 extends it. Blanks around it do no harm; a display name, a second address, a comment or
 * a control character does. International domains become A-labels (RFC 5891). False and ERROR where
 * it is not one.
 */
bool address_read(struct address *address, const char *text, size_t length, struct error *error);

/* The same for an address that another mail server took already: dots may stand anywhere before the
 * @, underscores and hyphens anywhere behind it. */
bool address_read_loosely(
    struct address *address, const char *text, size_t length, struct error *error);

#endif
