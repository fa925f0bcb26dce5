#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include <bsd/string.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/text.h"
#include "sql/row.h"
#include "sql/statement.h"

/* The elements, in the order of the columns from ROW_TIME on. */
static const char *const ELEMENTS[] = {
    "fld_time", "fld_sender", "fld_address", "fld_topic", "fld_content"};

static const char *
value_of(const PGresult *result, int number, enum row_column column)
{
    if (PQgetisnull(result, number, (int)column))
        return NULL;
    return PQgetvalue(result, number, (int)column);
}

static int64_t
number_of(const PGresult *result, int number, enum row_column column)
{
    const char *value = value_of(result, number, column);

    return value == NULL ? 0 : strtoll(value, NULL, 10);
}

/* What XML cannot carry at all: control characters but TAB, LF and CR, and U+FFFE, U+FFFF. */
static bool
is_carried(const char *character, size_t length)
{
    unsigned char first = (unsigned char)character[0];

    if (length == 1)
        return first >= 0x20 || first == '\t' || first == '\n' || first == '\r';
    return memcmp(character, "\xEF\xBF\xBE", 3) != 0 && memcmp(character, "\xEF\xBF\xBF", 3) != 0;
}

static const char *
reference_of(char character)
{
    switch (character) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '\r': /* a parser would make LF of it */
        return "&#13;";
    default:
        return NULL;
    }
}

/* False where TEXT has what XML cannot carry. */
static bool
write_text(FILE *stream, const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        size_t length = text_character(text, left);
        const char *reference = length == 1 ? reference_of(*text) : NULL;

        if (length == 0 || !is_carried(text, length))
            return false;
        if (reference != NULL)
            fputs(reference, stream);
        else
            fwrite(text, 1, length, stream);
        text += length;
        left -= length;
    }
    return true;
}

/* "@SECONDS" becomes the local time that files have. */
static const char *
local_time(const char *text, char target[static 64])
{
    time_t seconds;
    struct tm parts;

    if (text == NULL || text[0] != '@')
        return text;
    seconds = (time_t)strtoll(text + 1, NULL, 10);
    if (localtime_r(&seconds, &parts) == NULL ||
        strftime(target, 64, "%d.%m.%Y %H:%M:%S", &parts) == 0)
        return NULL;
    return target;
}

static void
write_fields(FILE *stream, struct row *row, const PGresult *result, int number)
{
    char moment[64];

    for (size_t i = 0; i < sizeof(ELEMENTS) / sizeof(ELEMENTS[0]); i++) {
        const char *text = value_of(result, number, (enum row_column)(ROW_TIME + i));

        if (i == 0)
            text = local_time(text, moment);
        if (text == NULL)
            continue;
        fprintf(stream, "<%s>", ELEMENTS[i]);
        if (!write_text(stream, text) && row->problem[0] == '\0')
            text_format(row->problem, sizeof(row->problem),
                "%s has a character that no mail can carry", ELEMENTS[i]);
        fprintf(stream, "</%s>\n", ELEMENTS[i]);
    }
}

static void
make_document(struct row *row, const PGresult *result, int number)
{
    FILE *stream = open_memstream(&row->document, &row->size);

    if (stream == NULL)
        fatal(EX_OSERR, "out of memory: a document");
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<list><item>\n", stream);
    write_fields(stream, row, result, number);
    fputs("</item></list>\n", stream);
    if (fclose(stream) != 0)
        fatal(EX_OSERR, "out of memory: a document");
}

/* The fields are missing where they are too large; a mail without any looks the same, and is
 * small. */
static bool
has_fields(const PGresult *result, int number, uint64_t octets)
{
    for (int i = ROW_FIELD_SENDER; i <= ROW_FIELD_CONTENT; i++) {
        if (!PQgetisnull(result, number, i))
            return true;
    }
    return octets == 0;
}

void
row_complete(struct row *row, const PGresult *result, uint64_t most)
{
    row->octets = (uint64_t)number_of(result, 0, ROW_OCTETS);
    strlcpy(row->version, PQgetvalue(result, 0, ROW_VERSION), sizeof(row->version));
    if (row->octets <= most && has_fields(result, 0, row->octets))
        make_document(row, result, 0);
    else
        text_format(row->problem, sizeof(row->problem),
            "the row has %" PRIu64 " octets, max_message_size is %" PRIu64, row->octets, most);
}

struct row *
row_make(const PGresult *result, int number, uint64_t most)
{
    struct row *row = memory_new(1, sizeof(*row));

    row->key = memory_copy_text(PQgetvalue(result, number, ROW_KEY));
    row->sender = memory_copy_text(PQgetvalue(result, number, ROW_SENDER));
    row->deferred = PQgetvalue(result, number, ROW_DEFERRED)[0] == 't';
    row->attempts = (uint32_t)number_of(result, number, ROW_ATTEMPTS);
    row->strikes = (uint32_t)number_of(result, number, ROW_STRIKES);
    row->seen = number_of(result, number, ROW_SEEN);
    row->octets = (uint64_t)number_of(result, number, ROW_OCTETS);
    strlcpy(row->version, PQgetvalue(result, number, ROW_VERSION), sizeof(row->version));
    if (row->octets > most)
        text_format(row->problem, sizeof(row->problem),
            "the row has %" PRIu64 " octets, max_message_size is %" PRIu64, row->octets, most);
    else if (has_fields(result, number, row->octets))
        make_document(row, result, number);
    return row;
}

void
row_free(struct row *row)
{
    free(row->key);
    free(row->sender);
    free(row->document);
    free(row);
}

const char *
row_name(const struct row *row, char name[static 256])
{
    size_t length = text_cut(row->key, strlen(row->key), 255);

    memcpy(name, row->key, length);
    name[length] = '\0';
    if (length == 0)
        strlcpy(name, "(empty)", 256);
    return name;
}
