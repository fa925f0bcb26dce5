#include <bsd/stdlib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/text.h"
#include "queue/record.h"

#define VERSION_LINE "smailer record 1\n"
#define VALUE_SIZE 4200 /* the longest text, escaped */

enum record_type { RECORD_TEXT, RECORD_COUNT, RECORD_TIME };

static const struct {
    const char *key;
    enum record_type type;
    size_t offset;
    size_t size;
} KEYS[] = {
#define KEY(key, type, member)                                                                     \
    {                                                                                              \
        key, type, offsetof(struct mail_record, member), sizeof(((struct mail_record *)0)->member) \
    }
    KEY("id", RECORD_TEXT, id),
    KEY("name", RECORD_TEXT, name),
    KEY("attempts", RECORD_COUNT, attempts),
    KEY("strikes", RECORD_COUNT, strikes),
    KEY("first-try", RECORD_TIME, first_try),
    KEY("last-try", RECORD_TIME, last_try),
    KEY("stage", RECORD_TEXT, stage),
    KEY("code", RECORD_COUNT, code),
    KEY("reason", RECORD_TEXT, reason),
#undef KEY
};
#define KEY_COUNT (sizeof(KEYS) / sizeof(KEYS[0]))

static void
format_text(char value[VALUE_SIZE], const void *member)
{
    text_escape(value, VALUE_SIZE, member);
}

static void
format_count(char value[VALUE_SIZE], const void *member)
{
    uint32_t count;

    memcpy(&count, member, sizeof(count));
    text_format(value, VALUE_SIZE, "%" PRIu32, count);
}

static void
format_time(char value[VALUE_SIZE], const void *member)
{
    int64_t time;

    memcpy(&time, member, sizeof(time));
    if (time < 0)
        time = 0;
    text_format(value, VALUE_SIZE, "%" PRId64 ".%03" PRId64, time / 1000, time % 1000);
}

/* The octet that the escape at *TEXT stands for; *TEXT moves behind it. */
static bool
parse_escape(const char **text, char *octet)
{
    const char *at = *text + 1;

    if (*at == '\\') {
        *octet = '\\';
        *text += 2;
        return true;
    }
    for (size_t i = 0; i < 3; i++)
        if (at[i] < '0' || at[i] > '7')
            return false;
    if (at[0] > '3')
        return false;
    *octet = (char)((at[0] - '0') << 6 | (at[1] - '0') << 3 | (at[2] - '0'));
    *text += 4;
    return *octet != '\0';
}

static bool
parse_text(void *member, size_t size, const char *value)
{
    char *target = member;
    size_t used = 0;

    while (*value != '\0') {
        if (used + 1 >= size)
            return false;
        if (*value != '\\')
            target[used] = *value++;
        else if (!parse_escape(&value, &target[used]))
            return false;
        used++;
    }
    target[used] = '\0';
    return true;
}

static bool
parse_number(const char *value, int64_t most, int64_t *number)
{
    const char *problem = NULL;

    if (value[strspn(value, "0123456789")] != '\0' || value[0] == '\0')
        return false;
    *number = strtonum(value, 0, most, &problem);
    return problem == NULL;
}

static bool
parse_count(void *member, size_t size, const char *value)
{
    int64_t number;
    uint32_t count;

    if (!parse_number(value, UINT32_MAX, &number))
        return false;
    count = (uint32_t)number;
    memcpy(member, &count, size);
    return true;
}

static bool
parse_time(void *member, size_t size, const char *value)
{
    char digits[32];
    const char *dot = strchr(value, '.');
    int64_t time;

    if (dot == NULL || strlen(dot) != 4 || dot == value || strlen(value) >= sizeof(digits))
        return false;
    text_format(digits, sizeof(digits), "%.*s%s", (int)(dot - value), value, dot + 1);
    if (!parse_number(digits, INT64_MAX / 1000000, &time))
        return false;
    memcpy(member, &time, size);
    return true;
}

static const struct {
    void (*format)(char value[VALUE_SIZE], const void *member);
    bool (*parse)(void *member, size_t size, const char *value);
} TYPES[] = {
    [RECORD_TEXT] = {format_text, parse_text},
    [RECORD_COUNT] = {format_count, parse_count},
    [RECORD_TIME] = {format_time, parse_time},
};

size_t
record_format(char text[RECORD_TEXT_SIZE], const struct mail_record *record)
{
    char value[VALUE_SIZE];
    size_t used = sizeof(VERSION_LINE) - 1;

    memcpy(text, VERSION_LINE, sizeof(VERSION_LINE));
    for (size_t i = 0; i < KEY_COUNT; i++) {
        TYPES[KEYS[i].type].format(value, (const char *)record + KEYS[i].offset);
        used +=
            (size_t)snprintf(text + used, RECORD_TEXT_SIZE - used, "%s: %s\n", KEYS[i].key, value);
    }
    return used;
}

/* Takes the line "KEY: VALUE" from *TEXT, which moves behind it. */
static bool
take_value(const char **text, const char *key, char value[VALUE_SIZE])
{
    size_t key_length = strlen(key);
    const char *end = strchr(*text, '\n');
    const char *start = *text + key_length + 2;

    if (end == NULL || strncmp(*text, key, key_length) != 0 ||
        strncmp(*text + key_length, ": ", 2) != 0 || end - start >= VALUE_SIZE)
        return false;
    memcpy(value, start, (size_t)(end - start));
    value[end - start] = '\0';
    *text = end + 1;
    return true;
}

bool
record_parse(const char *text, size_t length, struct mail_record *record)
{
    char copy[RECORD_TEXT_SIZE];
    char value[VALUE_SIZE];
    const char *at = copy + sizeof(VERSION_LINE) - 1;

    if (length >= sizeof(copy) || memchr(text, '\0', length) != NULL)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (strncmp(copy, VERSION_LINE, sizeof(VERSION_LINE) - 1) != 0)
        return false;
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (!take_value(&at, KEYS[i].key, value) ||
            !TYPES[KEYS[i].type].parse((char *)record + KEYS[i].offset, KEYS[i].size, value))
            return false;
    return *at == '\0';
}
