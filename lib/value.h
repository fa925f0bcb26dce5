/*
 * The types of configuration values: as text in a file, and as a member of a struct.
 */
#ifndef SMAILER_VALUE_H
#define SMAILER_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

enum value_type {
    VALUE_TEXT, /* char *: one line of UTF-8, never NULL */
    VALUE_PATH, /* char *: an absolute path */
    VALUE_RELATIVE, /* char *: a path below something, without ".." */
    VALUE_FILE, /* char *: a path, absolute or below the configuration's directory, or "" */
    VALUE_ADDRESS, /* char *: a mail address, or "" */
    VALUE_BOOLEAN, /* bool */
    VALUE_COUNT, /* unsigned */
    VALUE_DURATION, /* int64_t, milliseconds */
    VALUE_SIZE, /* int64_t, octets */
    VALUE_CHOICE, /* int: the choice's place in its list */
    VALUE_LIST, /* struct text_list */
    VALUE_RELAY, /* struct relay */
    VALUE_SECRET /* bool: that there is one; itself it is never in a struct */
};

struct text_list {
    char **texts;
    size_t count;
};

struct relay {
    char *host; /* without the brackets */
    uint16_t port;
};

/* What a value may be, beside what its type says. */
struct value_range {
    int64_t minimum;
    int64_t maximum; /* both 0: no limits */
    const char *const *choices; /* ended by NULL */
};

/* Reads TEXT into MEMBER, replacing what it owned; a list is appended to. False where TEXT is not
 * of the type or out of RANGE; ERROR then says what is expected, as in "a duration such as 30s". */
bool value_parse(enum value_type type, const struct value_range *range, const char *text,
    void *member, struct error *error);

/* Fills MEMBER, which must be zeroed, from STANDARD, a default that is known to be right; NULL: the
 * type's emptiest value. */
void value_set_default(
    enum value_type type, const struct value_range *range, const char *standard, void *member);

/* MEMBER as value_parse would read it again, in memory of the caller's; a list's element AT.
 * NULL for what has no text (a secret). */
char *value_print(
    enum value_type type, const struct value_range *range, const void *member, size_t at);

/* How many texts MEMBER is made of: a list's elements, else 1, a secret's 0. */
size_t value_count(enum value_type type, const void *member);

/* Frees what MEMBER owns and zeroes it. */
void value_free(enum value_type type, void *member);

#endif
