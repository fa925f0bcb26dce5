#include <stdbool.h>
#include <string.h>

#include "lib/text.h"

#include "cleanup/base64.h"
#include "cleanup/header.h"

/* RFC 5322, section 2.1.1; RFC 2047, section 2. */
enum { LINE_MAX_ASCII = 78, LINE_MAX_ENCODED = 76, PHRASE_MAX = 62 };

static const char Q_BEGIN[] = "=?UTF-8?Q?";
static const char B_BEGIN[] = "=?UTF-8?B?";
static const char WORD_END[] = "?=";
static const char FOLD[] = "\r\n ";

enum { WORD_OVERHEAD = sizeof(Q_BEGIN) - 1 + sizeof(WORD_END) - 1, FOLDED_COLUMN = 1 };

/* What stands for itself in an encoded word wherever that is (RFC 2047, section 5, rule 3). */
static bool
is_q_literal(unsigned char octet)
{
    return (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z') ||
           (octet >= '0' && octet <= '9') || octet == '!' || octet == '*' || octet == '+' ||
           octet == '-' || octet == '/';
}

static size_t
q_length(const char *text, size_t length)
{
    size_t cost = 0;

    for (size_t i = 0; i < length; i++)
        cost += is_q_literal((unsigned char)text[i]) || text[i] == ' ' ? 1 : 3;
    return cost;
}

static void
write_q(struct output *output, const char *text, size_t length)
{
    static const char HEXADECIMAL[] = "0123456789ABCDEF";
    char *target = output_reserve(output, 3 * length);
    char *start = target;

    for (size_t i = 0; i < length; i++) {
        unsigned char octet = (unsigned char)text[i];

        if (octet == ' ') {
            *target++ = '_';
        } else if (is_q_literal(octet)) {
            *target++ = text[i];
        } else {
            *target++ = '=';
            *target++ = HEXADECIMAL[octet >> 4];
            *target++ = HEXADECIMAL[octet & 0xF];
        }
    }
    output->used += (size_t)(target - start);
}

static void
write_b(struct output *output, const char *text, size_t length)
{
    char *target = output_reserve(output, base64_length(length));

    output->used += (size_t)(base64_encode(target, text, length) - target);
}

/* As many octets of TEXT, in whole characters, as one word has ROOM for. */
static size_t
word_take(bool base64, const char *text, size_t length, size_t room)
{
    size_t left = base64 ? room / 4 * 3 : room;
    size_t taken = 0;

    while (taken < length) {
        size_t count = text_character(text + taken, length - taken);
        size_t cost = base64 ? count : q_length(text + taken, count);

        if (cost > left)
            break;
        left -= cost;
        taken += count;
    }
    return taken;
}

/* Appends encoded words, a line each, the first of them at COLUMN; returns the column after. */
static size_t
write_words(struct output *output, size_t column, const char *text, size_t length)
{
    bool base64 = base64_length(length) < q_length(text, length);

    for (;;) {
        size_t room = LINE_MAX_ENCODED - WORD_OVERHEAD - column;
        size_t taken = word_take(base64, text, length, room);
        size_t before = output->used;

        output_text(output, base64 ? B_BEGIN : Q_BEGIN);
        (base64 ? write_b : write_q)(output, text, taken);
        output_text(output, WORD_END);
        column += output->used - before;
        text += taken;
        length -= taken;
        if (length == 0)
            return column;
        output_text(output, FOLD);
        column = FOLDED_COLUMN;
    }
}

/* Control characters, and the line and paragraph separators that some take for line ends. */
static bool
is_break(const char *character, size_t count)
{
    return text_is_control(character, count) ||
           (count == 3 &&
               (memcmp(character, "\u2028", 3) == 0 || memcmp(character, "\u2029", 3) == 0));
}

void
header_line(struct output *line, const char *text, size_t length)
{
    bool broken = false;

    output_reserve(line, length + 1);
    for (size_t at = 0, count; at < length; at += count) {
        count = broken ? 0 : text_plain(text + at, length - at);
        if (count > 0 && (line->used > 0 || text[at] != ' ')) {
            output_bytes(line, text + at, count);
            continue;
        }
        count = text_character(text + at, length - at);
        if (count > 0 && is_break(text + at, count)) {
            broken = true;
            continue;
        }
        if (line->used > 0 && broken && text[at] != ' ' && line->data[line->used - 1] != ' ')
            output_bytes(line, " ", 1);
        if (line->used > 0 || text[at] != ' ')
            output_bytes(line, count > 0 ? text + at : "?", count > 0 ? count : 1);
        count = count > 0 ? count : 1;
        broken = false;
    }
    while (line->used > 0 && line->data[line->used - 1] == ' ')
        line->used--;
}

static size_t
space_after(const char *text, size_t at, size_t length)
{
    const char *space = memchr(text + at, ' ', length - at);

    return space != NULL ? (size_t)(space - text) : length;
}

/* True where TEXT comes out as it is when folded at its spaces, each word fitting in ROOM. */
static bool
is_plain(const char *text, size_t length, size_t room)
{
    if (!text_is_ascii(text, length) || memmem(text, length, "=?", 2) != NULL)
        return false;
    for (size_t at = 0; at < length;) {
        size_t end = space_after(text, at, length);

        if (end == at || end - at > room)
            return false;
        at = end + 1;
    }
    return true;
}

static void
write_folded(struct output *output, size_t column, const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        size_t end = space_after(text, at, length);

        if (at > 0 && column + 1 + end - at > LINE_MAX_ASCII) {
            output_text(output, FOLD);
            column = FOLDED_COLUMN;
        } else if (at > 0) {
            output_text(output, " ");
            column++;
        }
        output_bytes(output, text + at, end - at);
        column += end - at;
        at = end + 1;
    }
}

void
header_text(struct output *output, const char *name, const char *text, size_t length)
{
    struct output line = {0};
    size_t column = strlen(name) + 2;

    header_line(&line, text, length);
    output_text(output, name);
    output_text(output, line.used > 0 ? ": " : ":");
    if (is_plain(line.data, line.used, LINE_MAX_ASCII - column))
        write_folded(output, column, line.data, line.used);
    else
        write_words(output, column, line.data, line.used);
    output_text(output, "\r\n");
    output_release(&line);
}

static bool
is_escaped(char character)
{
    return character == '"' || character == '\\';
}

static size_t
quoted_length(const char *text, size_t length)
{
    size_t count = 2;

    for (size_t i = 0; i < length; i++)
        count += is_escaped(text[i]) ? 2 : 1;
    return count;
}

static void
write_quoted(struct output *output, const char *text, size_t length)
{
    output_text(output, "\"");
    for (size_t i = 0; i < length; i++) {
        if (is_escaped(text[i]))
            output_text(output, "\\");
        output_bytes(output, text + i, 1);
    }
    output_text(output, "\"");
}

/* Appends the display name (RFC 5322: a phrase) and returns the column after. */
static size_t
write_phrase(struct output *output, size_t column, const char *text, size_t length)
{
    size_t before = output->used;

    if (quoted_length(text, length) > PHRASE_MAX || !is_plain(text, length, PHRASE_MAX))
        return write_words(output, column, text, length);
    write_quoted(output, text, length);
    return column + output->used - before;
}

void
header_mailbox(
    struct output *output, const char *name, const char *display_name, const char *address)
{
    struct output line = {0};
    size_t column = strlen(name) + 2;

    header_line(&line, display_name, strlen(display_name));
    output_text(output, name);
    output_text(output, ": ");
    if (line.used > 0) {
        column = write_phrase(output, column, line.data, line.used);
        output_text(output, column + strlen(address) + 3 > LINE_MAX_ASCII ? FOLD : " ");
        output_text(output, "<");
    }
    output_text(output, address);
    output_text(output, line.used > 0 ? ">\r\n" : "\r\n");
    output_release(&line);
}
