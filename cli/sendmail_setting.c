#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/sendmail_options.h"

static void
set_queue_directory(struct sendmail_options *options, const char *value)
{
    if (value[0] != '\0')
        options->queue_directory = value;
}

static void
set_ignore_dots(struct sendmail_options *options, const char *value)
{
    options->ignore_dots = value[0] == '\0' || strchr("TtYy", value[0]) != NULL;
}

static void
set_verbose(struct sendmail_options *options, const char *value)
{
    options->verbose = value[0] == '\0' || strchr("TtYy", value[0]) != NULL;
}

static void
set_least_age(struct sendmail_options *options, const char *value)
{
    int64_t seconds;
    char bad;

    if (sendmail_interval_parse(value, 'm', &seconds, &bad))
        options->least_age = seconds;
}

static void
set_load(struct sendmail_options *options, const char *value)
{
    options->load = strtol(value, NULL, 10);
}

static void
set_factor(struct sendmail_options *options, const char *value)
{
    options->factor = strtol(value, NULL, 10);
}

static void
set_most(struct sendmail_options *options, const char *value)
{
    options->most = strtol(value, NULL, 10);
}

static void
set_order(struct sendmail_options *options, const char *value)
{
    static const struct {
        char letter;
        enum sendmail_order order;
    } ORDERS[] = {{'t', ORDER_TIME}, {'f', ORDER_FILENAME}, {'h', ORDER_HOST}};

    options->order = ORDER_PRIORITY;
    for (size_t i = 0; i < sizeof(ORDERS) / sizeof(ORDERS[0]); i++)
        if ((value[0] | ' ') == ORDERS[i].letter)
            options->order = ORDERS[i].order;
}

/* A letter of NUL: the option has only its long name. */
static const struct {
    char letter;
    const char *name;
    void (*set)(struct sendmail_options *options, const char *value);
} SETTINGS[] = {
    {'Q', "QueueDirectory", set_queue_directory},
    {'i', "IgnoreDots", set_ignore_dots},
    {'v', "Verbose", set_verbose},
    {'x', "QueueLA", set_load},
    {'q', "QueueFactor", set_factor},
    {'\0', "MinQueueAge", set_least_age},
    {'\0', "MaxQueueRunSize", set_most},
    {'\0', "QueueSortOrder", set_order},
};

#define SETTING_COUNT (sizeof(SETTINGS) / sizeof(SETTINGS[0]))

void
sendmail_setting_short(struct sendmail_options *options, const char *text)
{
    if (text[0] == ' ') {
        sendmail_setting_long(options, text + 1);
        return;
    }
    for (size_t i = 0; i < SETTING_COUNT && text[0] != '\0'; i++)
        if (SETTINGS[i].letter == text[0])
            SETTINGS[i].set(options, text + 1);
}

void
sendmail_setting_long(struct sendmail_options *options, const char *text)
{
    const char *equals = strchr(text, '=');
    size_t length;

    if (equals == NULL)
        return;
    length = (size_t)(equals - text);
    while (length > 0 && text[length - 1] == ' ')
        length--;
    for (equals++; *equals == ' '; equals++)
        continue;
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (strlen(SETTINGS[i].name) == length && strncasecmp(SETTINGS[i].name, text, length) == 0)
            SETTINGS[i].set(options, equals);
}
