/*
 * Header fields that say what they are given, whatever that is: in ASCII, folded, and never more
 * than one field.
 */
#ifndef SMAILER_CLEANUP_HEADER_H
#define SMAILER_CLEANUP_HEADER_H

#include <stddef.h>

#include "cleanup/output.h"

/* Appends LENGTH octets of UTF-8 as one line: control characters and line breaks become one space,
 * octets that are no UTF-8 a question mark, and blanks around it go. LINE must be empty. */
void header_line(struct output *line, const char *text, size_t length);

/*
 * Appends the field NAME (32 octets at the most) with LENGTH octets of UTF-8 as unstructured text,
 * made one line. What ASCII cannot say in lines of 78 becomes encoded words (RFC 2047), Q or B,
 * whichever is shorter.
 */
void header_text(struct output *output, const char *name, const char *text, size_t length);

/* Appends the field NAME with one mailbox (RFC 5322, section 3.4): ADDRESS, which address_read has
 * checked, beside DISPLAY_NAME where that is not empty. */
void header_mailbox(
    struct output *output, const char *name, const char *display_name, const char *address);

#endif
