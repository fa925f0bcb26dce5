/*
 * Any octets as the text of a header field, and as a display name: one field, in ASCII, folded,
 * that says what it was given.
 */
#include "cleanup/header.h"
#include "lib/text.h"
#include "tests/fuzz/mime.h"

#define ADDRESS "foo@example.com"

enum { LINE_MAX_FIELD = 78 };

/* One field: further lines begin with a blank, none is empty. */
static void
check_field(const struct output *field)
{
    require(text_is_ascii(field->data, field->used));
    for (size_t at = 0; at < field->used;) {
        const char *line = field->data + at;
        const char *feed = memchr(line, '\n', field->used - at);
        size_t length;

        require(feed != NULL && feed > line + 1 && feed[-1] == '\r');
        length = (size_t)(feed - line) - 1;
        require(length <= LINE_MAX_FIELD && memchr(line, '\r', length) == NULL);
        require(text_plain(line, length) == length);
        require(at == 0 || line[0] == ' ');
        at += length + 2;
    }
}

static void
check_line(const struct output *line)
{
    require(text_is_utf8(line->data, line->used));
    require(line->used == 0 || (line->data[0] != ' ' && line->data[line->used - 1] != ' '));
    for (size_t at = 0; at < line->used; at += text_character(line->data + at, line->used - at))
        require(
            !text_is_control(line->data + at, text_character(line->data + at, line->used - at)));
}

static void
check_text(const char *text, size_t length, const struct output *line)
{
    static struct output field;
    static struct output decoded;
    size_t value = strlen("Subject:") + (line->used > 0);

    output_clear(&field);
    output_clear(&decoded);
    header_text(&field, "Subject", text, length);
    check_field(&field);
    mime_field(&decoded, field.data + value, field.used - value - 2);
    require(decoded.used == line->used);
    require(line->used == 0 || memcmp(decoded.data, line->data, line->used) == 0);
}

/* A quoted string (RFC 5322, section 3.2.4) as what it means. */
static void
unquote(struct output *target, const char *text, size_t length)
{
    require(length >= 2 && text[0] == '"' && text[length - 1] == '"');
    for (size_t i = 1; i < length - 1; i++) {
        i += text[i] == '\\';
        require(i < length - 1);
        output_bytes(target, text + i, 1);
    }
}

static void
check_mailbox(const char *text, const struct output *line)
{
    static const char NAME[] = "From: ";
    static struct output field;
    static struct output decoded;
    const char *phrase;
    const char *end;

    output_clear(&field);
    output_clear(&decoded);
    header_mailbox(&field, "From", text, ADDRESS);
    check_field(&field);
    output_bytes(&field, "", 1);
    if (line->used == 0) {
        require(strcmp(field.data, "From: " ADDRESS "\r\n") == 0);
        return;
    }
    phrase = field.data + strlen(NAME);
    end = strstr(field.data, " <" ADDRESS ">\r\n");
    require(end != NULL && end[strlen(" <" ADDRESS ">\r\n")] == '\0');
    end -= end[-1] == '\n' ? 2 : 0;
    (phrase[0] == '"' ? unquote : mime_field)(&decoded, phrase, (size_t)(end - phrase));
    require(decoded.used == line->used && memcmp(decoded.data, line->data, line->used) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct output line;
    char *text = rest_text((struct rest){(const char *)data, size});

    output_clear(&line);
    header_line(&line, (const char *)data, size);
    check_line(&line);
    check_text((const char *)data, size, &line);
    output_clear(&line);
    header_line(&line, text, strlen(text));
    check_mailbox(text, &line);
    free(text);
    return 0;
}
