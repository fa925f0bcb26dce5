/*
 * A message with octets above 127 as one without, for relays that do not offer 8BITMIME (RFC 6152,
 * section 3): each part of it that needs it is encoded. Headers stay as they are.
 */
#ifndef SMAILER_CLEANUP_SEVEN_BIT_H
#define SMAILER_CLEANUP_SEVEN_BIT_H

#include <stdbool.h>
#include <stddef.h>

#include "cleanup/output.h"

/* What the header of a message or part says of its body; NULL: nothing. */
struct seven_bit_type {
    const char *type; /* Content-Type */
    const char *encoding; /* Content-Transfer-Encoding */
};

/* Appends the header fields that a body of LENGTH octets (lines ended by LF) gets in place of
 * those it has, where seven_bit_replaces(), an empty line, and the body. */
void seven_bit_write(
    struct output *output, const struct seven_bit_type *type, const char *body, size_t length);

/* True where Content-Transfer-Encoding is replaced. */
bool seven_bit_replaces(const struct seven_bit_type *type, const char *body, size_t length);

/* Appends LENGTH octets, lines ended by LF, as they are but for their line ends. */
void seven_bit_copy(struct output *output, const char *body, size_t length);

#endif
