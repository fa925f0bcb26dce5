/*
 * What the fuzzers share. A property that does not hold ends the process, and the input is kept.
 */
#ifndef SMAILER_TESTS_FUZZ_H
#define SMAILER_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_OCTETS = 998 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(property) require_at(property, #property, __FILE__, __LINE__)

static inline void
require_at(bool holds, const char *property, const char *file, int line)
{
    if (holds)
        return;
    fprintf(stderr, "%s:%d: it does not hold that %s\n", file, line, property);
    abort();
}

/* The octets of an input that were not taken yet. */
struct rest {
    const char *octets;
    size_t size;
};

/* Takes what is before the first SEPARATOR, or all there is. */
static inline struct rest
rest_take(struct rest *rest, const char *separator, size_t length)
{
    const char *end = memmem(rest->octets, rest->size, separator, length);
    struct rest part = {rest->octets, end != NULL ? (size_t)(end - rest->octets) : rest->size};
    size_t used = part.size + (end != NULL ? length : 0);

    rest->octets += used;
    rest->size -= used;
    return part;
}

/* The octets of PART as a text of the caller's, up to the first that is 0. */
static inline char *
rest_text(struct rest part)
{
    char *text = strndup(part.size > 0 ? part.octets : "", part.size);

    require(text != NULL);
    return text;
}

static inline bool
is_text(const char *text, size_t length)
{
    return memchr(text, '\0', length) == NULL;
}

/* The header of a message, and its lines: each ends in CRLF and has 998 octets at the most. Returns
 * where the body begins. */
static inline size_t
check_lines(const char *message, size_t length)
{
    size_t body = 0;

    for (size_t at = 0; at < length;) {
        const char *line = message + at;
        const char *feed = memchr(line, '\n', length - at);
        size_t octets;

        require(feed != NULL && feed > line && feed[-1] == '\r');
        octets = (size_t)(feed - line) - 1;
        require(octets <= LINE_MAX_OCTETS);
        require(body > 0 || memchr(line, '\r', octets) == NULL);
        at += octets + 2;
        if (octets == 0 && body == 0)
            body = at;
    }
    require(body > 0);
    return body;
}

#endif
