#include <string.h>

#include "lib/text.h"

#include "cleanup/base64.h"
#include "cleanup/body.h"

/* Lines without CRLF: of any message, of quoted-printable before its '=', of base64. */
enum { LINE_MAX_PLAIN = 998, LINE_MAX_QUOTED = 75, LINE_OCTETS_BASE64 = 57 };

/* Quoted-printable while at most one octet in so many needs encoding: Polish stays readable. */
enum { QUOTED_SHARE = 4 };

static const char CRLF[] = "\r\n";

/* True where quoted-printable encodes the octet; CR and LF stand only in line ends here. */
static inline bool
is_encoded(unsigned char octet)
{
    return octet >= 0x7F || octet == '=' ||
           (octet < 0x20 && octet != '\t' && octet != '\r' && octet != '\n');
}

/* The line at TEXT ends after the octets that are returned; *END is where the next one begins. */
static size_t
line_length(const char *text, size_t length, bool bare, size_t *end)
{
    const char *feed = memchr(text, '\n', length);
    size_t count = feed != NULL ? (size_t)(feed - text) : length;
    const char *bare_return = bare ? memchr(text, '\r', count) : NULL;

    *end = feed != NULL ? count + 1 : length;
    if (bare_return == NULL)
        return count;
    count = (size_t)(bare_return - text);
    *end = count + (count + 1 < length && text[count + 1] == '\n' ? 2 : 1);
    return count;
}

/* Copies TEXT with CRLF at each line's end; returns the octets of the longest line. */
static size_t
canonicalize(struct output *target, const char *text, size_t length)
{
    bool bare = memchr(text, '\r', length) != NULL;
    size_t longest = 0;
    size_t end;

    output_reserve(target, length + length / 16 + sizeof(CRLF));
    for (size_t at = 0; at < length; at += end) {
        size_t count = line_length(text + at, length - at, bare, &end);
        char *line = output_reserve(target, count + 2);

        memcpy(line, text + at, count);
        memcpy(line + count, CRLF, 2);
        target->used += count + 2;
        longest = count > longest ? count : longest;
    }
    return longest;
}

static size_t
count_encoded(const char *text, size_t length)
{
    size_t count = 0;

    for (size_t i = 0; i < length; i++)
        count += is_encoded((unsigned char)text[i]);
    return count;
}

static size_t
count_octet(const char *text, size_t length, char octet)
{
    size_t count = 0;

    for (size_t i = 0; i < length; i++)
        count += text[i] == octet;
    return count;
}

void
body_prepare(struct body *body, const char *text, size_t length)
{
    size_t longest;
    size_t encoded;

    output_clear(&body->text);
    longest = canonicalize(&body->text, text, length);
    encoded = count_encoded(text, length);
    body->ascii = text_is_ascii(text, length);
    if (longest <= LINE_MAX_PLAIN && encoded == count_octet(text, length, '='))
        body->encoding = BODY_7BIT;
    else if (encoded <= length / QUOTED_SHARE)
        body->encoding = BODY_QUOTED_PRINTABLE;
    else
        body->encoding = BODY_BASE64;
}

static char *
quote_octet(char *target, unsigned char octet)
{
    static const char HEXADECIMAL[] = "0123456789ABCDEF";

    target[0] = '=';
    target[1] = HEXADECIMAL[octet >> 4];
    target[2] = HEXADECIMAL[octet & 0xF];
    return target + 3;
}

/* One line without its CRLF. A blank at its end would be lost on the way. */
static char *
quote_line(char *target, const unsigned char *octets, size_t count)
{
    size_t column = 0;

    for (size_t i = 0; i < count; i++) {
        unsigned char octet = octets[i];
        bool last_blank = i + 1 == count && (octet == ' ' || octet == '\t');
        bool encode = is_encoded(octet) || last_blank;
        size_t width = encode ? 3 : 1;

        if (column + width > LINE_MAX_QUOTED) {
            memcpy(target, "=\r\n", 3);
            target += 3;
            column = 0;
        }
        column += width;
        if (encode)
            target = quote_octet(target, octet);
        else
            *target++ = (char)octet;
    }
    return target;
}

static void
write_quoted(const struct body *body, struct output *output)
{
    const char *text = body->text.data;
    size_t length = body->text.used;
    size_t end;

    for (size_t at = 0; at < length; at += end) {
        const char *feed = memchr(text + at, '\n', length - at);
        size_t count;
        char *target;
        char *start;

        end = (size_t)(feed - (text + at)) + 1;
        count = end - 2;
        /* All of it encoded, and a soft line break for each 73 octets that come out. */
        start = output_reserve(output, 3 * count + 3 * count / 24 + 8);
        target = quote_line(start, (const unsigned char *)text + at, count);
        memcpy(target, CRLF, 2);
        output->used += (size_t)(target - start) + 2;
    }
}

static void
write_base64(const struct body *body, struct output *output)
{
    const char *text = body->text.data;
    size_t left = body->text.used;
    char *start = output_reserve(
        output, base64_length(left) + (left / LINE_OCTETS_BASE64 + 1) * (sizeof(CRLF) - 1));
    char *target = start;

    while (left > 0) {
        size_t count = left < LINE_OCTETS_BASE64 ? left : LINE_OCTETS_BASE64;

        target = base64_encode(target, text, count);
        memcpy(target, CRLF, 2);
        target += 2;
        text += count;
        left -= count;
    }
    output->used += (size_t)(target - start);
}

static void
write_plain(const struct body *body, struct output *output)
{
    output_bytes(output, body->text.data, body->text.used);
}

static const struct {
    const char *name;
    void (*write)(const struct body *body, struct output *output);
} ENCODINGS[] = {
    [BODY_7BIT] = {"7bit", write_plain},
    [BODY_QUOTED_PRINTABLE] = {"quoted-printable", write_quoted},
    [BODY_BASE64] = {"base64", write_base64},
};

const char *
body_encoding_name(enum body_encoding encoding)
{
    return ENCODINGS[encoding].name;
}

void
body_write(const struct body *body, struct output *output)
{
    ENCODINGS[body->encoding].write(body, output);
}
