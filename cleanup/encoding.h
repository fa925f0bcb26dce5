/*
 * Documents in the encodings that Polish programs write, turned into UTF-8.
 */
#ifndef SMAILER_CLEANUP_ENCODING_H
#define SMAILER_CLEANUP_ENCODING_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"

#include "cleanup/output.h"

enum encoding_result {
    ENCODING_DECODED,
    ENCODING_BROKEN, /* octets that the encoding does not have; may still be in the writing */
    ENCODING_UNSUPPORTED /* declares an encoding that is not read here */
};

/* Opens what the conversions need. Before the sandbox: glibc loads a module for each encoding. */
bool encoding_open_all(struct error *error);

void encoding_close_all(void);

/*
 * Finds out the encoding of the XML document of LENGTH octets at BYTES (by the byte order mark or
 * the declaration; XML 1.0, appendix F) and gives it in UTF-8 without a mark in *UTF8 and
 * *UTF8_LENGTH: inside BYTES where it is UTF-8 already, else in CONVERTED. Not decoded: ERROR says
 * why.
 */
enum encoding_result encoding_decode(const char *bytes, size_t length, struct output *converted,
    const char **utf8, size_t *utf8_length, struct error *error);

#endif
