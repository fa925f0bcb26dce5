#include <string.h>
#include <strings.h>

#include "smtp/capability.h"

static const struct {
    const char *keyword;
    size_t offset;
} KEYWORDS[] = {
    {"PIPELINING", offsetof(struct capabilities, pipelining)},
    {"8BITMIME", offsetof(struct capabilities, eight_bit)},
    {"SMTPUTF8", offsetof(struct capabilities, smtputf8)},
    {"DSN", offsetof(struct capabilities, dsn)},
    {"SIZE", offsetof(struct capabilities, size)},
    {"STARTTLS", offsetof(struct capabilities, starttls)},
    {"AUTH", offsetof(struct capabilities, login)},
    {"DELIVERBY", offsetof(struct capabilities, deliver_by)},
    {"ENHANCEDSTATUSCODES", offsetof(struct capabilities, enhanced_codes)},
};

/* The number at TEXT; one too large for this type limits nothing. */
static uint64_t
parse_limit(const char *text, size_t length)
{
    uint64_t limit = 0;

    for (size_t i = 0; i < length && text[i] >= '0' && text[i] <= '9'; i++) {
        if (limit > UINT64_MAX / 10 - 1)
            return 0;
        limit = limit * 10 + (uint64_t)(text[i] - '0');
    }
    return limit;
}

void
capabilities_add(struct capabilities *capabilities, const char *line, size_t length)
{
    size_t width = 0;

    /* "AUTH=" is an old way to write it. */
    while (width < length && line[width] != ' ' && line[width] != '=')
        width++;
    for (size_t i = 0; i < sizeof(KEYWORDS) / sizeof(KEYWORDS[0]); i++) {
        if (strlen(KEYWORDS[i].keyword) != width ||
            strncasecmp(line, KEYWORDS[i].keyword, width) != 0)
            continue;
        *(bool *)((char *)capabilities + KEYWORDS[i].offset) = true;
        if (KEYWORDS[i].offset == offsetof(struct capabilities, size) && width < length)
            capabilities->size_limit = parse_limit(line + width + 1, length - width - 1);
        if (KEYWORDS[i].offset == offsetof(struct capabilities, deliver_by) && width < length)
            capabilities->least_time = parse_limit(line + width + 1, length - width - 1);
    }
}
