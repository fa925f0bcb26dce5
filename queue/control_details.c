#include "queue/control_details.h"

#include <string.h>

/* Version, creation, last attempt, attempts, priority, body type, flags, status, sender, quarantine
 * reason, controlling user, recipient. */
static const char LETTERS[] = "VTKNPBFMSqCR";

/* Octets of the line at TEXT, without what ends it. */
static size_t
measure_line(const char *text, size_t length)
{
    const char *end = memchr(text, '\n', length);
    size_t measured = end != NULL ? (size_t)(end - text) : length;

    return measured > 0 && text[measured - 1] == '\r' ? measured - 1 : measured;
}

/* Nothing after a NUL is part of it for sendmail, and none can be within a line here. */
static size_t
cut_line(const char *line, size_t length)
{
    const char *nul = memchr(line, '\0', length);
    size_t cut = nul != NULL ? (size_t)(nul - line) : length;

    return cut < CONTROL_DETAILS_LINE ? cut : CONTROL_DETAILS_LINE - 1;
}

size_t
control_details_make(const char *text, size_t length, char *target, size_t size)
{
    const char *end = text + length;
    size_t used = 0;

    while (text < end) {
        size_t line = cut_line(text, measure_line(text, (size_t)(end - text)));
        const char *feed = memchr(text, '\n', (size_t)(end - text));

        if (line > 0 && strchr(LETTERS, *text) != NULL && used + line + 1 <= size) {
            memcpy(target + used, text, line);
            used += line;
            target[used++] = '\0';
        }
        text = feed != NULL ? feed + 1 : end;
    }
    return used;
}

const char *
control_details_next(const char *details, size_t size, const char *line)
{
    const char *next = line == NULL ? details : line + strlen(line) + 1;
    size_t left = size - (size_t)(next - details);

    return left > 0 && memchr(next, '\0', left) != NULL ? next : NULL;
}
