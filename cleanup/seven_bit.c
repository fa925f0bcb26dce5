#include "cleanup/seven_bit.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "lib/text.h"

#include "cleanup/body.h"
#include "cleanup/job_header.h"

enum { DEPTH_MAX = 20, BOUNDARY_MAX = 200, VALUE_MAX = 1000 };

/* LENGTH octets at TEXT, cut off before END. */
struct span {
    const char *text;
    size_t length;
};

static bool
begins(const char *text, const char *word)
{
    return text != NULL && strncasecmp(text, word, strlen(word)) == 0;
}

static bool
is_composite(const struct seven_bit_type *type)
{
    return begins(type->type, "multipart/") || begins(type->type, "message/");
}

/* True where the octets are what the encoding says, and not the octets that are meant. */
static bool
is_encoded(const struct seven_bit_type *type)
{
    return begins(type->encoding, "quoted-printable") || begins(type->encoding, "base64");
}

bool
seven_bit_replaces(const struct seven_bit_type *type, const char *body, size_t length)
{
    return !text_is_ascii(body, length) && !is_encoded(type);
}

/* The next line, without its end; moves REST behind it. */
static struct span
take_line(struct span *rest)
{
    const char *end = memchr(rest->text, '\n', rest->length);
    size_t length = end != NULL ? (size_t)(end - rest->text) : rest->length;
    struct span line = {rest->text, length};

    length += end != NULL;
    rest->text += length;
    rest->length -= length;
    if (line.length > 0 && line.text[line.length - 1] == '\r')
        line.length--;
    return line;
}

void
seven_bit_copy(struct output *output, const char *body, size_t length)
{
    struct span rest = {body, length};

    while (rest.length > 0) {
        struct span line = take_line(&rest);

        job_line_write(output, line.text, line.length);
    }
}

/* The parameter boundary of a Content-Type; empty where it has none (RFC 2046, section 5.1.1). */
static void
find_boundary(const char *type, char boundary[BOUNDARY_MAX])
{
    const char *at = strcasestr(type, "boundary=");
    size_t length;

    boundary[0] = '\0';
    if (at == NULL)
        return;
    at += strlen("boundary=");
    length = *at == '"' ? strcspn(++at, "\"") : strcspn(at, " \t\r\n;");
    if (length >= BOUNDARY_MAX)
        return;
    memcpy(boundary, at, length);
    boundary[length] = '\0';
}

enum delimiter { DELIMITER_NONE, DELIMITER_NEXT, DELIMITER_LAST };

/* What LINE is to parts: behind the boundary are two hyphens after the last one, and blanks (RFC
 * 2046, section 5.1.1). */
static enum delimiter
find_delimiter(const struct span *line, const char *boundary)
{
    size_t length = strlen(boundary);
    size_t at = length + 2;
    bool last;

    if (line->length < at || memcmp(line->text, "--", 2) != 0 ||
        memcmp(line->text + 2, boundary, length) != 0)
        return DELIMITER_NONE;
    last = line->length >= at + 2 && memcmp(line->text + at, "--", 2) == 0;
    at += last ? 2 : 0;
    while (at < line->length && (line->text[at] == ' ' || line->text[at] == '\t'))
        at++;
    if (at < line->length)
        return DELIMITER_NONE;
    return last ? DELIMITER_LAST : DELIMITER_NEXT;
}

/* What is not ASCII in it, which is nothing that anybody should be shown, becomes question marks.
 */
static void
copy_ascii(struct output *output, const struct span *text)
{
    size_t before = output->used;

    seven_bit_copy(output, text->text, text->length);
    for (size_t at = before; at < output->used; at++)
        if ((unsigned char)output->data[at] > 0x7F)
            output->data[at] = '?';
}

static void write_entity(struct output *output, struct span entity, int depth);

static void
write_part(struct output *output, const struct span *part, enum delimiter before, int depth)
{
    if (before == DELIMITER_NEXT)
        write_entity(output, *part, depth + 1);
    else
        copy_ascii(output, part);
}

/* Parts behind a delimiter are entities; what is before the first and behind the last one, text of
 * no use. A message that was cut off may have no last one. */
static void
write_parts(struct output *output, const char *boundary, struct span rest, int depth)
{
    struct span part = {rest.text, 0};
    enum delimiter before = DELIMITER_NONE;

    while (rest.length > 0) {
        const char *begin = rest.text;
        struct span line = take_line(&rest);
        enum delimiter delimiter = find_delimiter(&line, boundary);

        if (delimiter == DELIMITER_NONE || before == DELIMITER_LAST) {
            part.length = (size_t)(rest.text - part.text);
            continue;
        }
        part.length = (size_t)(begin - part.text);
        write_part(output, &part, before, depth);
        job_line_write(output, line.text, line.length);
        before = delimiter;
        part = (struct span){rest.text, 0};
    }
    write_part(output, &part, before, depth);
}

static void
write_leaf(struct output *output, struct span body)
{
    static struct body encoded;

    body_prepare(&encoded, body.text, body.length);
    output_text(output, "Content-Transfer-Encoding: ");
    output_text(output, body_encoding_name(encoded.encoding));
    output_text(output, "\r\n\r\n");
    body_write(&encoded, output);
}

static void
write_body(struct output *output, const struct seven_bit_type *type, struct span body, int depth)
{
    char boundary[BOUNDARY_MAX] = "";

    if (!seven_bit_replaces(type, body.text, body.length)) {
        /* What is encoded already has no such octets, or they are no part of it. */
        output_text(output, "\r\n");
        copy_ascii(output, &body);
        return;
    }
    if (begins(type->type, "multipart/"))
        find_boundary(type->type, boundary);
    if (depth > DEPTH_MAX || !is_composite(type) ||
        (begins(type->type, "multipart/") && boundary[0] == '\0')) {
        write_leaf(output, body);
        return;
    }
    output_text(output, "Content-Transfer-Encoding: 7bit\r\n\r\n");
    if (boundary[0] != '\0')
        write_parts(output, boundary, body, depth);
    else
        write_entity(output, body, depth + 1);
}

/* Copies the value of the field that ENTITY's header has from AT on, unfolded. */
static void
copy_value(char target[VALUE_MAX], const struct span *line)
{
    const char *colon = memchr(line->text, ':', line->length);
    size_t skipped = colon != NULL ? (size_t)(colon - line->text) + 1 : line->length;
    size_t length;

    while (skipped < line->length && isspace((unsigned char)line->text[skipped]))
        skipped++;
    length = line->length - skipped;
    if (length >= VALUE_MAX)
        length = VALUE_MAX - 1;
    memcpy(target, line->text + skipped, length);
    target[length] = '\0';
}

/* The next header field with its continuation lines. */
static struct span
take_field(struct span *rest)
{
    struct span field = take_line(rest);

    while (field.length > 0 && rest->length > 0 && (*rest->text == ' ' || *rest->text == '\t')) {
        struct span line = take_line(rest);

        field.length = (size_t)(line.text + line.length - field.text);
    }
    return field;
}

/* Fields go as they are, here as in the message's own header: relays take them. */
static void
write_field(struct output *output, const struct span *field)
{
    size_t name = 0;

    while (name < field->length && field->text[name] > ' ' && field->text[name] < 0x7F &&
           field->text[name] != ':')
        name++;
    if (name > 0 && name < field->length && field->text[name] == ':')
        seven_bit_copy(output, field->text, field->length);
    else
        copy_ascii(output, field);
}

static bool
is_field(const struct span *field, const char *name)
{
    return field->length > strlen(name) && strncasecmp(field->text, name, strlen(name)) == 0 &&
           field->text[strlen(name)] == ':';
}

/* Header, empty line and body. */
static void
write_entity(struct output *output, struct span entity, int depth)
{
    char content_type[VALUE_MAX] = "";
    char encoding[VALUE_MAX] = "";
    struct seven_bit_type type = {content_type, encoding};
    struct span rest = entity;
    struct span header;
    struct span field;

    while (rest.length > 0 && (field = take_field(&rest)).length > 0) {
        if (is_field(&field, "Content-Type"))
            copy_value(content_type, &field);
        else if (is_field(&field, "Content-Transfer-Encoding"))
            copy_value(encoding, &field);
    }
    header = (struct span){entity.text, entity.length - rest.length};
    while (header.length > 0 && (field = take_field(&header)).length > 0)
        if (!is_field(&field, "Content-Transfer-Encoding") ||
            !seven_bit_replaces(&type, rest.text, rest.length))
            write_field(output, &field);
    write_body(output, &type, rest, depth);
}

void
seven_bit_write(
    struct output *output, const struct seven_bit_type *type, const char *body, size_t length)
{
    write_body(output, type, (struct span){body, length}, 0);
}
