/*
 * The text of a mail as lines that any relay takes.
 */
#ifndef SMAILER_CLEANUP_BODY_H
#define SMAILER_CLEANUP_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include "cleanup/output.h"

enum body_encoding { BODY_7BIT, BODY_QUOTED_PRINTABLE, BODY_BASE64 };

struct body {
    enum body_encoding encoding;
    bool ascii; /* no character outside ASCII */
    struct output text; /* canonical: CRLF ends each line, the last one too */
};

/* Prepares LENGTH octets of UTF-8 without NUL. Each CRLF, CR or LF is a line end. 7bit where the
 * lines can go as they are (RFC 5321, section 4.5.3.1.6: 998 octets), else quoted-printable while
 * few octets need it, else base64. What BODY held before is gone. */
void body_prepare(struct body *body, const char *text, size_t length);

/* For Content-Transfer-Encoding: "7bit". */
const char *body_encoding_name(enum body_encoding encoding);

/* Appends the body in its encoding (RFC 2045, sections 6.7 and 6.8). */
void body_write(const struct body *body, struct output *output);

#endif
