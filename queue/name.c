#include <bsd/string.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/mail_id.h"
#include "lib/text.h"
#include "queue/directory.h"
#include "queue/name.h"

#define HASH_DIGITS (NAME_HASH_SIZE - 1)
#define EXTENSION_MAX 8 /* octets after the dot; what is longer is part of the name */
#define MIDDLE_SIZE 32

static const char *const UNFINISHED[] = {"~", ".tmp", ".part"};

static bool
ends_in(const char *name, const char *end)
{
    size_t length = strlen(name);
    size_t end_length = strlen(end);

    return length >= end_length && strcmp(name + length - end_length, end) == 0;
}

bool
name_is_mail(const struct queue *queue, const char *name)
{
    if (name[0] == '.' || name[0] == '\0' || strchr(name, '/') != NULL)
        return false;
    if (strlen(name) >= QUEUE_NAME_SIZE || directory_has_name(name))
        return false;
    for (size_t i = 0; i < sizeof(UNFINISHED) / sizeof(UNFINISHED[0]); i++)
        if (ends_in(name, UNFINISHED[i]))
            return false;
    return fnmatch(queue->pattern, name, 0) == 0;
}

uint64_t
name_hash(const struct queue *queue, const char *name, int64_t mtime_ns)
{
    return mail_id_hash(queue->section, queue->sid, name, mtime_ns);
}

void
name_format_hash(char text[NAME_HASH_SIZE], uint64_t hash)
{
    text_format(text, NAME_HASH_SIZE, "%016" PRIX64, hash);
}

bool
name_parse_hash(const char *text, uint64_t *hash)
{
    static const char DIGITS[] = "0123456789ABCDEF";
    uint64_t value = 0;

    for (size_t i = 0; i < HASH_DIGITS; i++) {
        const char *digit = text[i] != '\0' ? strchr(DIGITS, text[i]) : NULL;

        if (digit == NULL)
            return false;
        value = value << 4 | (uint64_t)(digit - DIGITS);
    }
    *hash = value;
    return true;
}

/* Where the extension begins, with its dot; the end of NAME where it has none. */
static size_t
extension_start(const char *name)
{
    const char *dot = strrchr(name, '.');
    size_t length = strlen(name);

    if (dot == NULL || dot == name || dot[1] == '\0' || strlen(dot) > EXTENSION_MAX + 1)
        return length;
    return (size_t)(dot - name);
}

/* NAME with MIDDLE before the octet SPLIT; what comes before it is cut to fit. */
static void
name_insert(char result[QUEUE_NAME_SIZE], const char *name, size_t split, const char *middle)
{
    size_t room = QUEUE_NAME_SIZE - 1 - strlen(middle) - strlen(name + split);
    size_t kept = split < room ? split : room;

    memcpy(result, name, kept);
    text_format(result + kept, QUEUE_NAME_SIZE - kept, "%s%s", middle, name + split);
}

void
name_variant(char variant[QUEUE_NAME_SIZE], const char *name, uint64_t hash, unsigned int number)
{
    char middle[MIDDLE_SIZE];

    if (number == 0)
        text_format(middle, sizeof(middle), ".%016" PRIX64, hash);
    else
        text_format(middle, sizeof(middle), ".%u.%016" PRIX64, number, hash);
    name_insert(variant, name, extension_start(name), middle);
}

/* Where ".HEX16" ends, if it is there at all: before the extension, or at the end. */
static bool
find_hash(const char *variant, size_t *start, size_t *end, uint64_t *hash)
{
    const size_t ends[] = {extension_start(variant), strlen(variant)};

    for (size_t i = 0; i < 2; i++) {
        if (ends[i] < HASH_DIGITS + 2 || variant[ends[i] - HASH_DIGITS - 1] != '.')
            continue;
        *start = ends[i] - HASH_DIGITS - 1;
        *end = ends[i];
        if (name_parse_hash(variant + *start + 1, hash))
            return true;
    }
    return false;
}

bool
name_of_variant(const char *variant, uint64_t *hash, char name[QUEUE_NAME_SIZE])
{
    size_t start;
    size_t end;

    if (!find_hash(variant, &start, &end, hash))
        return false;
    memcpy(name, variant, start);
    strlcpy(name + start, variant + end, QUEUE_NAME_SIZE - start);
    return true;
}

bool
name_document(const struct queue *queue, char document[QUEUE_NAME_SIZE], const char *name,
    unsigned int number)
{
    size_t length = strlen(name);
    size_t split = length;
    char middle[MIDDLE_SIZE];

    if (length > 4 && strcasecmp(name + length - 4, ".xml") == 0)
        split = length - 4;
    text_format(middle, sizeof(middle), ".%04u", number);
    name_insert(document, name, split, middle);
    if (name_is_mail(queue, document))
        return true;
    name_insert(document, name, extension_start(name), middle);
    return name_is_mail(queue, document);
}
