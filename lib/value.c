#include "lib/value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/text.h"

#define TEXT_MAX 4096
#define ADDRESS_MAX 254 /* RFC 5321, section 4.5.3.1.3, less the brackets */
#define HOST_MAX 253

struct unit {
    const char *name;
    int64_t worth;
};

/* The largest first, as they are tried for printing. */
static const struct unit COUNT_UNITS[] = {{"", 1}, {NULL, 0}};
static const struct unit SIZE_UNITS[] = {
    {"G", INT64_C(1) << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}, {NULL, 0}};
static const struct unit DURATION_UNITS[] = {{"w", 604800000}, {"d", 86400000}, {"h", 3600000},
    {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};

static bool
number_parse(
    const struct unit *unit, const struct value_range *range, const char *text, int64_t *number)
{
    int64_t digits = 0;
    const char *at = text;
    while (isdigit((unsigned char)*at))
        if (__builtin_mul_overflow(digits, 10, &digits) ||
            __builtin_add_overflow(digits, *at++ - '0', &digits))
            return false;
    if (at == text)
        return false;
    bool unitless_zero = digits == 0 && *at == '\0';
    while (unit->name != NULL && strcmp(unit->name, at) != 0 && !unitless_zero)
        unit++;
    if (unit->name == NULL || __builtin_mul_overflow(digits, unit->worth, number))
        return false;
    bool limited = range->minimum != 0 || range->maximum != 0;
    return !limited || (*number >= range->minimum && *number <= range->maximum);
}

static char *
number_print(const struct unit *unit, int64_t number)
{
    while (unit[1].name != NULL && (number % unit->worth != 0 || number == 0))
        unit++;
    return memory_format("%" PRId64 "%s", number / unit->worth, unit->name);
}

static bool
count_parse(const struct value_range *range, const char *text, void *member)
{
    int64_t number;
    if (!number_parse(COUNT_UNITS, range, text, &number) || number > INT32_MAX)
        return false;
    *(unsigned *)member = (unsigned)number;
    return true;
}

static char *
count_print(const struct value_range *range, const void *member, size_t at)
{
    (void)range, (void)at;
    return number_print(COUNT_UNITS, *(const unsigned *)member);
}

static bool
size_parse(const struct value_range *range, const char *text, void *member)
{
    return number_parse(SIZE_UNITS, range, text, member);
}

static char *
size_print(const struct value_range *range, const void *member, size_t at)
{
    (void)range, (void)at;
    return number_print(SIZE_UNITS, *(const int64_t *)member);
}

static bool
duration_parse(const struct value_range *range, const char *text, void *member)
{
    return number_parse(DURATION_UNITS, range, text, member);
}

static char *
duration_print(const struct value_range *range, const void *member, size_t at)
{
    (void)range, (void)at;
    return number_print(DURATION_UNITS, *(const int64_t *)member);
}

static bool
boolean_parse(const struct value_range *range, const char *text, void *member)
{
    static const char *const WORDS[] = {"no", "yes", "false", "true", "off", "on"};
    (void)range;
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        if (strcasecmp(WORDS[i], text) == 0) {
            *(bool *)member = i % 2 == 1;
            return true;
        }
    }
    return false;
}

static char *
boolean_print(const struct value_range *range, const void *member, size_t at)
{
    (void)range, (void)at;
    return memory_copy_text(*(const bool *)member ? "yes" : "no");
}

static bool
choice_parse(const struct value_range *range, const char *text, void *member)
{
    for (int i = 0; range->choices[i] != NULL; i++) {
        if (strcmp(range->choices[i], text) == 0) {
            *(int *)member = i;
            return true;
        }
    }
    return false;
}

static char *
choice_print(const struct value_range *range, const void *member, size_t at)
{
    (void)at;
    return memory_copy_text(range->choices[*(const int *)member]);
}

/* True where TEXT is UTF-8 of at most LIMIT octets without control characters, C1's among them. */
static bool
text_is_line(const char *text, size_t limit)
{
    size_t length = strlen(text);
    if (length > limit || !text_is_utf8(text, length))
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned char octet = (unsigned char)text[i];
        bool c1 = octet == 0xc2 && (unsigned char)text[i + 1] < 0xa0;
        if (octet < 0x20 || octet == 0x7f || c1)
            return false;
    }
    return true;
}

static bool
text_store(const char *text, char **member)
{
    char *copy = memory_copy_text(text);
    free(*member);
    *member = copy;
    return true;
}

static bool
text_parse(const struct value_range *range, const char *text, void *member)
{
    (void)range;
    return text_is_line(text, TEXT_MAX) && text_store(text, member);
}

static char *
text_print(const struct value_range *range, const void *member, size_t at)
{
    (void)range, (void)at;
    const char *text = *(char *const *)member;
    return memory_copy_text(text == NULL ? "" : text);
}

static void
text_free(void *member)
{
    free(*(char **)member);
    *(char **)member = NULL;
}

static bool
path_parse(const struct value_range *range, const char *text, void *member)
{
    return text[0] == '/' && text_parse(range, text, member);
}

/* True where a part of PATH between slashes is "..". */
static bool
path_climbs(const char *path)
{
    while (*path != '\0') {
        size_t length = strcspn(path, "/");
        if (length == 2 && strncmp(path, "..", 2) == 0)
            return true;
        path += length + (path[length] == '/');
    }
    return false;
}

static bool
relative_parse(const struct value_range *range, const char *text, void *member)
{
    bool below = text[0] != '\0' && text[0] != '/' && !path_climbs(text);
    return below && text_parse(range, text, member);
}

static bool
address_parse(const struct value_range *range, const char *text, void *member)
{
    (void)range;
    const char *domain = strrchr(text, '@');
    bool whole = domain != NULL && domain != text && domain[1] != '\0';
    bool plain = text_is_line(text, ADDRESS_MAX) && strpbrk(text, " <>,;") == NULL;
    return (text[0] == '\0' || (whole && plain)) && text_store(text, member);
}

static bool
list_parse(const struct value_range *range, const char *text, void *member)
{
    (void)range;
    struct text_list *list = member;
    if (text[0] == '\0' || !text_is_line(text, TEXT_MAX))
        return false;
    list->texts = memory_resize(list->texts, list->count + 1, sizeof *list->texts);
    list->texts[list->count++] = memory_copy_text(text);
    return true;
}

static char *
list_print(const struct value_range *range, const void *member, size_t at)
{
    (void)range;
    return memory_copy_text(((const struct text_list *)member)->texts[at]);
}

static void
list_free(void *member)
{
    struct text_list *list = member;
    for (size_t i = 0; i < list->count; i++)
        free(list->texts[i]);
    free(list->texts);
    *list = (struct text_list){0};
}

/* A host's name or address, which is going to be a part of a URL. */
static bool
host_is_valid(const char *host, bool bracketed)
{
    struct in6_addr address;
    if (bracketed)
        return inet_pton(AF_INET6, host, &address) == 1;
    if (host[0] == '\0' || host[0] == '-' || !text_is_line(host, HOST_MAX))
        return false;
    for (const char *at = host; *at != '\0'; at++)
        if (!isalnum((unsigned char)*at) && strchr(".-_", *at) == NULL && (signed char)*at > 0)
            return false;
    return true;
}

static bool
port_parse(const char *text, uint16_t *port)
{
    static const struct value_range PORTS = {.minimum = 1, .maximum = UINT16_MAX};
    int64_t number = 0;
    if (text[0] != '\0' &&
        (text[0] != ':' || !number_parse(COUNT_UNITS, &PORTS, text + 1, &number)))
        return false;
    *port = (uint16_t)number;
    return true;
}

static bool
relay_parse(const struct value_range *range, const char *text, void *member)
{
    (void)range;
    struct relay *relay = member;
    bool bracketed = text[0] == '[';
    const char *start = bracketed ? text + 1 : text;
    size_t length = strcspn(start, bracketed ? "]" : ":");
    if (bracketed && start[length] != ']')
        return false;
    char *host = memory_format("%.*s", (int)(length > HOST_MAX ? HOST_MAX + 1 : length), start);
    uint16_t port;
    if (!host_is_valid(host, bracketed) || !port_parse(start + length + bracketed, &port)) {
        free(host);
        return false;
    }
    free(relay->host);
    *relay = (struct relay){.host = host, .port = port};
    return true;
}

static char *
relay_print(const struct value_range *range, const void *member, size_t at)
{
    (void)range, (void)at;
    const struct relay *relay = member;
    const char *host = relay->host == NULL ? "" : relay->host;
    bool bracketed = strchr(host, ':') != NULL;
    char *named = memory_format("%s%s%s", bracketed ? "[" : "", host, bracketed ? "]" : "");
    if (relay->port == 0)
        return named;
    char *whole = memory_format("%s:%u", named, relay->port);
    free(named);
    return whole;
}

static void
relay_free(void *member)
{
    struct relay *relay = member;
    free(relay->host);
    *relay = (struct relay){0};
}

static bool
secret_parse(const struct value_range *range, const char *text, void *member)
{
    (void)range;
    *(bool *)member = text[0] != '\0';
    return text_is_line(text, TEXT_MAX);
}

static char *
secret_print(const struct value_range *range, const void *member, size_t at)
{
    (void)range, (void)member, (void)at;
    return NULL;
}

struct value_class {
    const char *expected;
    bool (*parse)(const struct value_range *range, const char *text, void *member);
    char *(*print)(const struct value_range *range, const void *member, size_t at);
    void (*free)(void *member); /* NULL: nothing is owned */
    size_t size;
};

/* clang-format off */
static const struct value_class CLASSES[] = {
    [VALUE_TEXT] = {"a line of UTF-8", text_parse, text_print, text_free, sizeof(char *)},
    [VALUE_PATH] = {"a path that begins with /", path_parse, text_print, text_free, sizeof(char *)},
    [VALUE_RELATIVE] = {"a path that does not begin with /, without ..",
        relative_parse, text_print, text_free, sizeof(char *)},
    [VALUE_FILE] = {"a file's path", text_parse, text_print, text_free, sizeof(char *)},
    [VALUE_ADDRESS] = {"a mail address such as foo@example.com",
        address_parse, text_print, text_free, sizeof(char *)},
    [VALUE_BOOLEAN] = {"yes or no", boolean_parse, boolean_print, NULL, sizeof(bool)},
    [VALUE_COUNT] = {"a number", count_parse, count_print, NULL, sizeof(unsigned)},
    [VALUE_DURATION] = {"a number and one of ms, s, m, h, d, w, such as 30s",
        duration_parse, duration_print, NULL, sizeof(int64_t)},
    [VALUE_SIZE] = {"a number of octets, or one with K, M or G, such as 32M",
        size_parse, size_print, NULL, sizeof(int64_t)},
    [VALUE_CHOICE] = {"one of", choice_parse, choice_print, NULL, sizeof(int)},
    [VALUE_LIST] = {"a list of texts such as { a, b }",
        list_parse, list_print, list_free, sizeof(struct text_list)},
    [VALUE_RELAY] = {"host or host:port, an IPv6 address in brackets",
        relay_parse, relay_print, relay_free, sizeof(struct relay)},
    [VALUE_SECRET] = {"a line of UTF-8", secret_parse, secret_print, NULL, sizeof(bool)},
};
/* clang-format on */

/* " from 1 to 100", or " files, syslog, stderr"; "" where there are no limits. */
static char *
range_describe(enum value_type type, const struct value_range *range)
{
    char *words = memory_copy_text("");
    for (size_t i = 0; type == VALUE_CHOICE && range->choices[i] != NULL; i++) {
        char *more = memory_format("%s%s %s", words, i == 0 ? "" : ",", range->choices[i]);
        free(words);
        words = more;
    }
    if (type == VALUE_CHOICE || (range->minimum == 0 && range->maximum == 0))
        return words;
    free(words);
    const struct unit *units = type == VALUE_DURATION ? DURATION_UNITS
                               : type == VALUE_SIZE   ? SIZE_UNITS
                                                      : COUNT_UNITS;
    char *least = number_print(units, range->minimum);
    char *most = number_print(units, range->maximum);
    words = memory_format(", from %s to %s", least, most);
    free(least);
    free(most);
    return words;
}

bool
value_parse(enum value_type type, const struct value_range *range, const char *text, void *member,
    struct error *error)
{
    if (CLASSES[type].parse(range, text, member))
        return true;
    char shown[128];
    char *limits = range_describe(type, range);
    error_set(error, "expected %s%s, not \"%s\"", CLASSES[type].expected, limits,
        type == VALUE_SECRET ? "..." : text_escape(shown, sizeof shown, text));
    free(limits);
    return false;
}

void
value_set_default(
    enum value_type type, const struct value_range *range, const char *standard, void *member)
{
    bool empty = standard == NULL || standard[0] == '\0';
    struct error error;
    if (empty && CLASSES[type].free == text_free)
        text_store("", member);
    else if (empty && type == VALUE_RELAY)
        ((struct relay *)member)->host = memory_copy_text("");
    else if (!empty && !value_parse(type, range, standard, member, &error))
        fatal(EX_SOFTWARE, "a default in config.def: %s", error.text);
}

char *
value_print(enum value_type type, const struct value_range *range, const void *member, size_t at)
{
    return CLASSES[type].print(range, member, at);
}

size_t
value_count(enum value_type type, const void *member)
{
    if (type == VALUE_LIST)
        return ((const struct text_list *)member)->count;
    return type == VALUE_SECRET ? 0 : 1;
}

void
value_free(enum value_type type, void *member)
{
    if (CLASSES[type].free != NULL)
        CLASSES[type].free(member);
    else
        memset(member, 0, CLASSES[type].size);
}
