/*
 * An error that travels up: what was tried, on what, and why, in words an administrator can act on.
 */
#ifndef SMAILER_ERROR_H
#define SMAILER_ERROR_H

#include <stdbool.h>

#define ERROR_TEXT_SIZE 1024

struct error {
    int code; /* an errno value, or 0 where the operating system was not asked */
    char text[ERROR_TEXT_SIZE];
};

/* Each of the three fills ERROR (which may be NULL) and returns false, so that a failure is one
 * statement: return error_errno(error, "open %s", path); */

/* The text alone; code becomes 0. */
bool error_set(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The text, a colon and the words for errno; code becomes errno. */
bool error_errno(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The text, a colon and what ERROR said before; code stays. */
bool error_prefix(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
