#include <errno.h>
#include <iconv.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "lib/error.h"
#include "lib/text.h"

#include "cleanup/encoding.h"
#include "cleanup/output.h"

enum { DECLARATION_MAX = 256, NAME_SIZE = 41, GROWTH = 3, ROOM_FOR_MORE = 16 };

enum charset { UTF_8, UTF_16LE, UTF_16BE, US_ASCII, ISO_8859_1, ISO_8859_2, WINDOWS_1250, COUNT };

/* glibc's names; UTF-8 needs no conversion. */
static const char *const ICONV_NAMES[COUNT] = {
    NULL, "UTF-16LE", "UTF-16BE", "US-ASCII", "ISO-8859-1", "ISO-8859-2", "CP1250"};

/* The names a declaration may have. UTF-16 is told by its first octets alone. */
static const struct {
    const char *name;
    enum charset charset;
} DECLARED[] = {
    {"UTF-8", UTF_8},
    {"UTF8", UTF_8},
    {"windows-1250", WINDOWS_1250},
    {"CP1250", WINDOWS_1250},
    {"ISO-8859-2", ISO_8859_2},
    {"ISO-8859-1", ISO_8859_1},
    {"US-ASCII", US_ASCII},
    {"ASCII", US_ASCII},
};

static const struct {
    const char *octets;
    size_t length;
    size_t mark; /* of them are a byte order mark, which is not part of the text */
    enum charset charset;
} BEGINNINGS[] = {
    {"\xEF\xBB\xBF", 3, 3, UTF_8},
    {"\xFF\xFE", 2, 2, UTF_16LE},
    {"\xFE\xFF", 2, 2, UTF_16BE},
    {"<\0", 2, 0, UTF_16LE},
    {"\0<", 2, 0, UTF_16BE},
};

static iconv_t converters[COUNT];
static bool opened;

bool
encoding_open_all(struct error *error)
{
    for (size_t i = 0; i < COUNT; i++) {
        if (ICONV_NAMES[i] == NULL)
            continue;
        converters[i] = iconv_open("UTF-8", ICONV_NAMES[i]);
        if (converters[i] == (iconv_t)-1)
            return error_errno(error, "prepare the conversion from %s", ICONV_NAMES[i]);
    }
    opened = true;
    return true;
}

void
encoding_close_all(void)
{
    for (size_t i = 0; opened && i < COUNT; i++)
        if (ICONV_NAMES[i] != NULL)
            iconv_close(converters[i]);
    opened = false;
}

static size_t
skip_blanks(const char *text, size_t at)
{
    return at + strspn(text + at, " \t\r\n");
}

/* The encoding's name in the XML declaration at the start of BYTES; empty where there is none. */
static void
declared_name(const char *bytes, size_t length, char name[NAME_SIZE])
{
    static const char KEY[] = "encoding";
    char text[DECLARATION_MAX + 1] = {0};
    const char *key;
    const char *end;
    size_t at;
    size_t count;

    name[0] = '\0';
    memcpy(text, bytes, length < DECLARATION_MAX ? length : DECLARATION_MAX);
    end = strstr(text, "?>");
    if (strncmp(text, "<?xml", 5) != 0 || end == NULL)
        return;
    key = strstr(text, KEY);
    if (key == NULL || key > end)
        return;
    at = skip_blanks(key, sizeof(KEY) - 1);
    if (key[at] != '=')
        return;
    at = skip_blanks(key, at + 1);
    if (key[at] != '"' && key[at] != '\'')
        return;
    count = strcspn(key + at + 1, key[at] == '"' ? "\"" : "'");
    if (count >= NAME_SIZE)
        count = NAME_SIZE - 1;
    memcpy(name, key + at + 1, count);
    name[count] = '\0';
}

static bool
find_charset(
    const char *bytes, size_t length, enum charset *charset, size_t *mark, struct error *error)
{
    char name[NAME_SIZE];
    char shown[4 * NAME_SIZE];

    for (size_t i = 0; i < sizeof(BEGINNINGS) / sizeof(BEGINNINGS[0]); i++) {
        if (length < BEGINNINGS[i].length ||
            memcmp(bytes, BEGINNINGS[i].octets, BEGINNINGS[i].length) != 0)
            continue;
        *charset = BEGINNINGS[i].charset;
        *mark = BEGINNINGS[i].mark;
        return true;
    }
    *charset = UTF_8;
    *mark = 0;
    declared_name(bytes, length, name);
    if (name[0] == '\0')
        return true;
    for (size_t i = 0; i < sizeof(DECLARED) / sizeof(DECLARED[0]); i++) {
        *charset = DECLARED[i].charset;
        if (strcasecmp(name, DECLARED[i].name) == 0)
            return true;
    }
    return error_set(
        error, "encoding \"%s\" is not supported here", text_escape(shown, sizeof(shown), name));
}

static bool
convert(enum charset charset, const char *bytes, size_t length, struct output *converted,
    struct error *error)
{
    size_t room = GROWTH * length + ROOM_FOR_MORE;
    size_t left = length;
    char *from = (char *)(uintptr_t)bytes;
    char *to = output_reserve(converted, room);
    char *start = to;

    iconv(converters[charset], NULL, NULL, NULL, NULL);
    if (iconv(converters[charset], &from, &left, &to, &room) == (size_t)-1)
        return error_set(error, "octet %zu of the file is not %s%s", length - left + 1,
            ICONV_NAMES[charset], errno == EINVAL ? ": the end is missing" : "");
    converted->used += (size_t)(to - start);
    return true;
}

/* libxml2 takes overlong forms within CDATA. */
static bool
check_utf8(const char *bytes, size_t length, struct error *error)
{
    size_t at = 0;
    size_t count;

    if (text_is_ascii(bytes, length))
        return true;
    while (at < length && (count = text_character(bytes + at, length - at)) > 0)
        at += count;
    return at == length || error_set(error, "not well-formed: octet %zu is not UTF-8", at + 1);
}

enum encoding_result
encoding_decode(const char *bytes, size_t length, struct output *converted, const char **utf8,
    size_t *utf8_length, struct error *error)
{
    enum charset charset;
    size_t mark;

    if (!find_charset(bytes, length, &charset, &mark, error))
        return ENCODING_UNSUPPORTED;
    *utf8 = bytes + mark;
    *utf8_length = length - mark;
    if (charset == UTF_8)
        return check_utf8(*utf8, *utf8_length, error) ? ENCODING_DECODED : ENCODING_BROKEN;
    if (!convert(charset, bytes + mark, length - mark, converted, error))
        return ENCODING_BROKEN;
    *utf8 = converted->data;
    *utf8_length = converted->used;
    return ENCODING_DECODED;
}
