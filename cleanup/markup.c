#include <string.h>

#include "lib/error.h"

#include "cleanup/markup.h"

/* What begins at a '<', the longest beginnings first, and what ends it. */
static const struct {
    const char *begin;
    const char *end;
    bool short_only; /* libxml2 takes it as a whole: bounded like a tag */
} KINDS[] = {
    {"<![CDATA[", "]]>", false},
    {"<!--", "-->", false},
    {"<?", "?>", true},
};

void
markup_start(struct markup *markup, const char *bytes, size_t length)
{
    *markup = (struct markup){.bytes = bytes, .length = length};
}

static size_t
line_number(const struct markup *markup)
{
    size_t line = 1;

    for (size_t at = 0; at < markup->scanned; at++)
        line += markup->bytes[at] == '\n';
    return line;
}

static bool
too_long(const struct markup *markup, struct error *error)
{
    return error_set(
        error, "line %zu: a tag of more than %d octets", line_number(markup), MARKUP_TAG_MAX);
}

/* The octets of the tag at the start of TEXT up to its '>', which does not count inside quotes; 0
 * where it has none. */
static size_t
tag_length(const char *text, size_t length)
{
    char quote = '\0';

    for (size_t at = 0; at < length; at++) {
        if (quote != '\0')
            quote = text[at] == quote ? '\0' : quote;
        else if (text[at] == '"' || text[at] == '\'')
            quote = text[at];
        else if (text[at] == '>')
            return at + 1;
    }
    return 0;
}

static bool
scan_tag(struct markup *markup, struct error *error)
{
    size_t left = markup->length - markup->scanned;
    size_t length =
        tag_length(markup->bytes + markup->scanned, left < MARKUP_TAG_MAX ? left : MARKUP_TAG_MAX);

    if (length == 0 && left > MARKUP_TAG_MAX)
        return too_long(markup, error);
    if (length == 0) {
        markup->unfinished = true;
        markup->length = markup->scanned;
    }
    markup->scanned += length;
    markup->splits = false;
    return true;
}

/* Comments, sections, instructions. An end that is missing is the parser's to complain about. */
static bool
scan_kind(struct markup *markup, size_t kind, struct error *error)
{
    const char *start = markup->bytes + markup->scanned;
    size_t left = markup->length - markup->scanned;
    size_t begin = strlen(KINDS[kind].begin);
    size_t end = strlen(KINDS[kind].end);
    const char *found = memmem(start + begin, left - begin, KINDS[kind].end, end);
    size_t length = found != NULL ? (size_t)(found - start) + end : left;

    if (KINDS[kind].short_only && length > MARKUP_TAG_MAX)
        return too_long(markup, error);
    markup->scanned += length;
    markup->splits = !KINDS[kind].short_only;
    return true;
}

static bool
scan_markup(struct markup *markup, struct error *error)
{
    const char *start = markup->bytes + markup->scanned;
    size_t left = markup->length - markup->scanned;

    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
        size_t begin = strlen(KINDS[i].begin);

        if (left >= begin && memcmp(start, KINDS[i].begin, begin) == 0)
            return scan_kind(markup, i, error);
    }
    if (left >= 3 && start[1] == '!' && start[2] != '-' && start[2] != '[')
        return error_set(
            error, "line %zu: a document type (DTD) is not allowed", line_number(markup));
    return scan_tag(markup, error);
}

static bool
scan_next(struct markup *markup, struct error *error)
{
    const char *start = markup->bytes + markup->scanned;
    const char *next = memchr(start, '<', markup->length - markup->scanned);

    if (next == start)
        return scan_markup(markup, error);
    markup->scanned = next != NULL ? (size_t)(next - markup->bytes) : markup->length;
    markup->splits = true;
    return true;
}

/* AT, or the start of the character that AT lies in. */
static size_t
character_start(const struct markup *markup, size_t at)
{
    size_t start = at;

    while (start < markup->length && at - start < 3 && (markup->bytes[start] & 0xC0) == 0x80)
        start--;
    return start;
}

bool
markup_next(struct markup *markup, const char **piece, size_t *length, struct error *error)
{
    size_t left = markup->length - markup->given;
    size_t end = markup->given + (left < MARKUP_PIECE ? left : MARKUP_PIECE);

    while (markup->scanned < end && !markup->unfinished)
        if (!scan_next(markup, error))
            return false;
    end = markup->splits ? character_start(markup, end) : markup->scanned;
    *piece = markup->bytes + markup->given;
    *length = end - markup->given;
    markup->given = end;
    return true;
}
