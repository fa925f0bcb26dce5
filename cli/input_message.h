/*
 * A message as programs hand it to sendmail: on standard input, lines ended by LF or CR LF, headers
 * first.
 */
#ifndef SMAILER_INPUT_MESSAGE_H
#define SMAILER_INPUT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/error.h"

#define INPUT_HEADERS_MAX (1U << 20) /* octets of all headers together */
#define INPUT_BODY_MAX (UINT64_C(1) << 30)

struct input_header {
    char *text; /* "Name: value", folded as it came, without the last line end */
    size_t name_length;
};

struct input_message {
    struct input_header *headers;
    size_t header_count;
    int body; /* a memfd: lines ended by LF, the last as it came */
    uint64_t body_size; /* octets */
    bool dotted; /* a line that was only a dot ended it */
    bool has_8bit;
};

/* Reads FILE to its end, or, unless IGNORE_DOTS, to a line that is only a dot. Returns EX_OK and
 * a MESSAGE that input_message_free empties, or the status to end with, and why in ERROR. */
int input_message_read(
    struct input_message *message, FILE *file, bool ignore_dots, struct error *error);

void input_message_free(struct input_message *message);

/* The first header called NAME at or after *AT, which is set behind it; NULL where there is none.
 * What is returned is its value, folds and all. */
const char *input_message_header(const struct input_message *message, const char *name, size_t *at);

bool input_message_has(const struct input_message *message, const char *name);

/* True where somebody sends the message on: it has a header Resent-... (RFC 5322, section 3.6.6).
 */
bool input_message_is_resent(const struct input_message *message);

#endif
