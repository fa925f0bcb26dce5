/*
 * MIME the other way round: what was encoded, as it was. Written after the RFCs, not after the code
 * that encodes.
 */
#ifndef SMAILER_TESTS_MIME_H
#define SMAILER_TESTS_MIME_H

#include <strings.h>

#include "cleanup/output.h"
#include "tests/fuzz/fuzz.h"

static inline int
mime_digit(char octet)
{
    static const char DIGITS[] = "0123456789ABCDEF";
    const char *digit = octet != '\0' ? strchr(DIGITS, octet) : NULL;

    return digit != NULL ? (int)(digit - DIGITS) : -1;
}

/* "=C5" (RFC 2045, section 6.7, RFC 2047, section 4.2). */
static inline void
mime_quoted_octet(struct output *target, const char *text, size_t length)
{
    char octet;

    require(length >= 3 && mime_digit(text[1]) >= 0 && mime_digit(text[2]) >= 0);
    octet = (char)(mime_digit(text[1]) << 4 | mime_digit(text[2]));
    output_bytes(target, &octet, 1);
}

/* Base64 (RFC 4648, section 4), line ends passed over. */
static inline void
mime_base64(struct output *target, const char *text, size_t length)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned bits = 0;
    int count = 0;
    bool ended = false;

    for (size_t i = 0; i < length; i++) {
        const char *digit = text[i] != '\0' ? strchr(DIGITS, text[i]) : NULL;
        char octet;

        if (text[i] == '\r' || text[i] == '\n')
            continue;
        ended = ended || text[i] == '=';
        require(ended ? text[i] == '=' : digit != NULL);
        if (ended)
            continue;
        bits = (bits << 6 | (unsigned)(digit - DIGITS)) & 0xFFFFFF;
        count += 6;
        if (count < 8)
            continue;
        count -= 8;
        octet = (char)(bits >> count);
        output_bytes(target, &octet, 1);
    }
}

static inline void
mime_quoted_printable(struct output *target, const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        if (text[at] != '=') {
            output_bytes(target, text + at++, 1);
        } else if (length - at >= 3 && memcmp(text + at, "=\r\n", 3) == 0) {
            at += 3;
        } else {
            mime_quoted_octet(target, text + at, length - at);
            at += 3;
        }
    }
}

/* The octets of the encoded word at TEXT, which is decoded; 0 where there is none. */
static inline size_t
mime_word(struct output *target, const char *text, size_t length)
{
    const char *end;
    size_t words;

    if (length < 12 || strncasecmp(text, "=?UTF-8?", 8) != 0 || text[9] != '?')
        return 0;
    end = memmem(text + 10, length - 10, "?=", 2);
    require(end != NULL);
    words = (size_t)(end - text) - 10;
    require(words + 12 <= 75);
    if (text[8] == 'B')
        mime_base64(target, text + 10, words);
    for (size_t i = 10; text[8] == 'Q' && i < 10 + words;) {
        if (text[i] == '=') {
            mime_quoted_octet(target, text + i, 10 + words - i);
            i += 3;
        } else {
            output_bytes(target, text[i] == '_' ? " " : text + i, 1);
            i++;
        }
    }
    return words + 12;
}

/* The value of a field: unfolded, its encoded words decoded, the blanks between two of them gone.
 */
static inline void
mime_field(struct output *target, const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        size_t word = mime_word(target, text + at, length - at);

        at += word;
        if (word > 0 && length - at >= 5 && memcmp(text + at, "\r\n =?", 5) == 0)
            at += 3;
        else if (word == 0 && length - at >= 2 && memcmp(text + at, "\r\n", 2) == 0)
            at += 2;
        else if (word == 0)
            output_bytes(target, text + at++, 1);
    }
}

#endif
