#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/text.h"

/* The least code point that needs a sequence of so many octets. */
static const uint32_t LEAST[] = {0, 0, 0x80, 0x800, 0x10000};

static size_t
sequence_length(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first < 0xE0)
        return 2;
    if (first >= 0xE0 && first < 0xF0)
        return 3;
    if (first >= 0xF0 && first < 0xF5)
        return 4;
    return 0;
}

size_t
text_character(const void *bytes, size_t length)
{
    const unsigned char *octets = bytes;
    size_t count;
    uint32_t code;

    if (length == 0)
        return 0;
    count = sequence_length(octets[0]);
    if (count < 2 || count > length)
        return count <= length ? count : 0;
    code = octets[0] & (0xFFU >> (count + 1));
    for (size_t i = 1; i < count; i++) {
        if ((octets[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (octets[i] & 0x3F);
    }
    if (code < LEAST[count] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return 0;
    return count;
}

bool
text_is_utf8(const void *bytes, size_t length)
{
    const char *octets = bytes;
    size_t count;

    for (size_t at = 0; at < length; at += count) {
        count = text_character(octets + at, length - at);
        if (count == 0)
            return false;
    }
    return true;
}

bool
text_is_ascii(const void *bytes, size_t length)
{
    const unsigned char *octets = bytes;
    unsigned char all = 0;

    for (size_t i = 0; i < length; i++)
        all |= octets[i];
    return all < 0x80;
}

bool
text_is_esmtp_value(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text > '~' || *text == '=')
            return false;
    return true;
}

size_t
text_plain(const void *bytes, size_t length)
{
    const unsigned char *octets = bytes;
    size_t count = 0;

    while (count < length && octets[count] >= 0x20 && octets[count] < 0x7F)
        count++;
    return count;
}

bool
text_is_control(const void *bytes, size_t count)
{
    const unsigned char *octets = bytes;

    if (count == 1)
        return octets[0] < 0x20 || octets[0] == 0x7F;
    return count == 2 && octets[0] == 0xC2 && octets[1] < 0xA0;
}

size_t
text_cut(const char *text, size_t length, size_t most)
{
    if (length <= most)
        return length;
    while (most > 0 && ((unsigned char)text[most] & 0xC0) == 0x80)
        most--;
    return most;
}

/* LENGTH without the octets at the end that begin a character and do not finish it. */
static size_t
whole_characters(const char *text, size_t length)
{
    size_t start = length;

    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start > 0 && sequence_length((unsigned char)text[start - 1]) > length - start + 1)
        return start - 1;
    return length;
}

bool
text_format_list(char *target, size_t size, const char *format, va_list arguments)
{
    int length = vsnprintf(target, size, format, arguments);

    if (length >= 0 && (size_t)length < size)
        return true;
    if (size == 0)
        return false;
    target[length < 0 ? 0 : whole_characters(target, size - 1)] = '\0';
    return false;
}

bool
text_format(char *target, size_t size, const char *format, ...)
{
    va_list arguments;
    bool whole;

    va_start(arguments, format);
    whole = text_format_list(target, size, format, arguments);
    va_end(arguments);
    return whole;
}

/* What the character of COUNT octets (0: none) is shown as; returns how many octets that takes. */
static size_t
escape_character(char shown[8], const unsigned char *octets, size_t count)
{
    if (count == 0 || text_is_control(octets, count))
        return (size_t)snprintf(shown, 8, "\\%03o", octets[0]);
    if (octets[0] == '\\')
        return (size_t)snprintf(shown, 8, "\\\\");
    memcpy(shown, octets, count);
    return count;
}

char *
text_escape_bytes(char *target, size_t size, const void *bytes, size_t length)
{
    const unsigned char *octets = bytes;
    size_t used = 0;
    size_t at = 0;

    while (at < length) {
        size_t count;
        size_t width;
        char shown[8];

        /* Most of it needs none of this. */
        while (at < length && used + 1 < size && octets[at] >= 0x20 && octets[at] < 0x7F &&
               octets[at] != '\\')
            target[used++] = (char)octets[at++];
        if (at == length)
            break;
        count = text_character(octets + at, length - at);
        width = escape_character(shown, octets + at, count);
        if (used + width >= size)
            break;
        memcpy(target + used, shown, width);
        used += width;
        at += count > 0 && !text_is_control(octets + at, count) ? count : 1;
    }
    if (size > 0)
        target[used] = '\0';
    return target;
}

char *
text_escape(char *target, size_t size, const char *text)
{
    return text_escape_bytes(target, size, text, strlen(text));
}
