#include <string.h>

#include "smtp/reply.h"

void
reply_reader_init(struct reply_reader *reader)
{
    memset(reader, 0, sizeof(*reader));
}

static bool
is_digit(char octet)
{
    return octet >= '0' && octet <= '9';
}

/* Appends to the words, as far as there is room. */
static void
add_words(struct reply *reply, const char *text, size_t length)
{
    size_t room = sizeof(reply->words) - 1 - reply->length;

    if (length > room)
        length = room;
    for (size_t i = 0; i < length; i++)
        reply->words[reply->length++] = (char)(text[i] == '\0' ? '?' : text[i]);
    reply->words[reply->length] = '\0';
}

/* The line's first three octets as a code, 0 where they are none. */
static unsigned
line_code(const char *line, size_t length)
{
    unsigned code;

    if (length < 3 || !is_digit(line[0]) || !is_digit(line[1]) || !is_digit(line[2]))
        return 0;
    code = (unsigned)(line[0] - '0') * 100 + (unsigned)(line[1] - '0') * 10 +
           (unsigned)(line[2] - '0');
    return code >= 200 && code < 600 ? code : 0;
}

static bool
is_same(struct enhanced_code one, struct enhanced_code other)
{
    return one.class == other.class && one.subject == other.subject && one.detail == other.detail;
}

/* Adds the text behind the code of a line; where it repeats the enhanced code, without that. */
static void
add_text(struct reply *reply, const char *text, size_t length, bool first)
{
    struct enhanced_code enhanced;
    size_t skipped = enhanced_parse(text, length, &enhanced);

    if (enhanced.class != reply->code / 100)
        skipped = 0;
    if (skipped > 0 && !first && is_same(enhanced, reply->enhanced)) {
        text += skipped;
        length -= skipped;
    } else if (skipped > 0 && reply->enhanced.class == 0) {
        reply->enhanced = enhanced;
    }
    while (length > 0 && text[0] == ' ') {
        text++;
        length--;
    }
    if (length == 0)
        return;
    add_words(reply, " ", 1);
    add_words(reply, text, length);
}

static enum reply_progress
broken(struct reply_reader *reader, const char *problem)
{
    reader->problem = problem;
    return REPLY_BROKEN;
}

/* A line without its end. A code may change within a reply only to another of the same kind; then
 * the last one counts, as it does for other clients. */
static enum reply_progress
take_line(struct reply_reader *reader, const char *line, size_t length)
{
    struct reply *reply = &reader->reply;
    bool first = reply->code == 0;
    unsigned code;

    while (length > 0 && line[length - 1] == '\r')
        length--;
    code = line_code(line, length);
    if (code == 0 || (length > 3 && line[3] != ' ' && line[3] != '-'))
        return broken(reader, "the relay sent a line that is no SMTP reply");
    if (!first && code / 100 != reply->code / 100)
        return broken(reader, "the relay sent a reply that contradicts itself");
    reply->code = code;
    if (first)
        add_words(reply, line, 3);
    else
        memcpy(reply->words, line, 3);
    if (length > 4)
        add_text(reply, line + 4, length - 4, first);
    return length > 3 && line[3] == '-' ? REPLY_MORE : REPLY_COMPLETE;
}

/* Keeps the beginning of a line whose end is still to come. */
static void
keep_part(struct reply_reader *reader, const char *part, size_t length)
{
    if (reader->line_length < sizeof(reader->line)) {
        size_t room = sizeof(reader->line) - reader->line_length;

        memcpy(reader->line + reader->line_length, part, length < room ? length : room);
    }
    reader->line_length += length;
}

/* The octets before an end of line, together with what was kept of the line. A long one is cut at
 * the same place whether it comes at once or in pieces. */
static enum reply_progress
end_line(struct reply_reader *reader, const char *part, size_t length)
{
    const size_t most = sizeof(reader->line);
    size_t whole;

    if (reader->line_length == 0)
        return take_line(reader, part, length < most ? length : most);
    keep_part(reader, part, length);
    whole = reader->line_length;
    reader->line_length = 0;
    return take_line(reader, reader->line, whole < most ? whole : most);
}

static void
begin(struct reply_reader *reader)
{
    reader->reply.code = 0;
    reader->reply.enhanced = (struct enhanced_code){0, 0, 0};
    reader->reply.length = 0;
    reader->reply.words[0] = '\0';
    reader->total = 0;
    reader->complete = false;
}

enum reply_progress
reply_read(struct reply_reader *reader, const char *octets, size_t length, size_t *used)
{
    enum reply_progress progress = REPLY_MORE;

    *used = 0;
    if (reader->complete)
        begin(reader);
    while (*used < length && progress == REPLY_MORE) {
        const char *part = octets + *used;
        const char *end = memchr(part, '\n', length - *used);
        size_t size = end != NULL ? (size_t)(end - part) + 1 : length - *used;

        if (size > REPLY_SIZE_MAX - reader->total)
            return broken(reader, "the relay sent a reply of more than 64 KB");
        reader->total += size;
        *used += size;
        if (end != NULL)
            progress = end_line(reader, part, size - 1);
        else
            keep_part(reader, part, size);
    }
    reader->complete = progress == REPLY_COMPLETE;
    return progress;
}
