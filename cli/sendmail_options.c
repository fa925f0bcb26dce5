#include "cli/sendmail_options.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "lib/memory.h"
#include "lib/text.h"

/* Letters with a value, which may be the next word; -d and -q have theirs attached or none. */
static const char VALUED[] = "ABbCDeFfhLMNOopQRrVXx";

/* The command line while it is read. */
struct reading {
    struct sendmail_options *options;
    FILE *errors;
    int status;
    int groups;
    bool asks_run; /* -q */
    bool has_interval;
};

/* What is wrong with the usage, in a sentence made safe to show. */
static void complain(struct reading *reading, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
complain(struct reading *reading, const char *format, ...)
{
    char words[512];
    char shown[1024];
    va_list arguments;

    va_start(arguments, format);
    text_format_list(words, sizeof(words), format, arguments);
    va_end(arguments);
    fprintf(reading->errors, "%s\n", text_escape(shown, sizeof(shown), words));
    reading->status = EX_USAGE;
}

static const struct {
    char letter;
    enum sendmail_mode mode;
} MODES[] = {
    {'m', SENDMAIL_SUBMIT},
    {'a', SENDMAIL_SUBMIT},
    {'p', SENDMAIL_PRINT},
    {'P', SENDMAIL_COUNT},
    {'d', SENDMAIL_DAEMON},
    {'D', SENDMAIL_DAEMON},
    {'i', SENDMAIL_NOTHING},
    {'h', SENDMAIL_NOTHING},
    {'H', SENDMAIL_NOTHING},
    {'s', SENDMAIL_SMTP},
    {'t', SENDMAIL_REFUSED},
    {'v', SENDMAIL_REFUSED},
};

static void
take_mode(struct reading *reading, const char *value)
{
    for (size_t i = 0; i < sizeof(MODES) / sizeof(MODES[0]); i++) {
        if (MODES[i].letter != value[0])
            continue;
        reading->options->mode = MODES[i].mode;
        reading->options->mode_letter = value[0];
        return;
    }
    complain(reading, "Invalid operation mode %c", value[0]);
}

static void
take_sender(struct reading *reading, const char *value)
{
    if (reading->options->sender != NULL)
        complain(reading, "More than one \"from\" person");
    else
        reading->options->sender = value;
}

static void
take_body_type(struct reading *reading, const char *value)
{
    if (strcasecmp(value, "7BIT") == 0)
        reading->options->body_type = "7BIT";
    else if (strcasecmp(value, "8BITMIME") == 0)
        reading->options->body_type = "8BITMIME";
    else
        complain(reading, "Illegal body type %s", value);
}

static void
take_notify(struct reading *reading, const char *value)
{
    static const struct {
        const char *name;
        unsigned int bit;
    } EVENTS[] = {
        {"success", NOTIFY_SUCCESS}, {"failure", NOTIFY_FAILURE}, {"delay", NOTIFY_DELAY}};

    reading->options->notify_given = true;
    reading->options->notify = 0;
    while (strcasecmp(value, "never") != 0) {
        size_t length = strcspn(value, ",");
        unsigned int bit = 0;

        for (size_t i = 0; i < sizeof(EVENTS) / sizeof(EVENTS[0]); i++)
            if (strlen(EVENTS[i].name) == length && strncasecmp(EVENTS[i].name, value, length) == 0)
                bit = EVENTS[i].bit;
        if (bit == 0) {
            complain(reading, "Invalid -N argument");
            return;
        }
        reading->options->notify |= bit;
        if (value[length] == '\0')
            return;
        value += length + 1;
    }
}

static void
take_return_part(struct reading *reading, const char *value)
{
    if (strcasecmp(value, "full") == 0)
        reading->options->return_part = "full";
    else if (strcasecmp(value, "hdrs") == 0)
        reading->options->return_part = "hdrs";
    else
        complain(reading, "Invalid -R value");
}

/* RFC 3461, section 4: "+" begins two hexadecimal digits, "=" is none of its characters. */
static bool
is_xtext(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < '!' || *text > '~' || *text == '=')
            return false;
        if (*text == '+' &&
            (!isxdigit((unsigned char)text[1]) || islower((unsigned char)text[1]) ||
                !isxdigit((unsigned char)text[2]) || islower((unsigned char)text[2])))
            return false;
    }
    return true;
}

static void
take_envelope_id(struct reading *reading, const char *value)
{
    if (!is_xtext(value) || strlen(value) > 100)
        complain(reading, "Invalid syntax in -V argument");
    else
        reading->options->envelope_id = value;
}

static void
take_hops(struct reading *reading, const char *value)
{
    char *end;

    reading->options->hops = strtol(value, &end, 10);
    if (end == value || *end != '\0')
        complain(reading, "Bad hop value (%s)", value);
}

/* Another program's configuration file is nothing to this one. */
static void
take_configuration(struct reading *reading, const char *value)
{
    struct stat status;

    if (stat(value, &status) == 0 && S_ISDIR(status.st_mode))
        reading->options->configuration = value;
}

/* To go on as if nothing were to be held would send it. */
static void
take_quarantine(struct reading *reading, const char *value)
{
    (void)value;
    complain(reading, "-Q is not there: to hold a job, rename its qf file to hf");
}

static void
take_full_name(struct reading *reading, const char *value)
{
    reading->options->full_name = value;
}

static void
take_short_setting(struct reading *reading, const char *value)
{
    sendmail_setting_short(reading->options, value);
}

static void
take_long_setting(struct reading *reading, const char *value)
{
    sendmail_setting_long(reading->options, value);
}

static void
take_interval(struct reading *reading, const char *value)
{
    bool is_server = reading->options->mode_letter == 'd' || reading->options->mode_letter == 's';
    char bad;

    if (sendmail_interval_parse(value, 'm', &reading->options->interval, &bad))
        reading->has_interval = true;
    else if (bad != '\0')
        complain(reading, "%sInvalid time unit `%c'", is_server ? "550 " : "", bad);
    else
        complain(reading, "%sInvalid -q value", is_server ? "550 " : "");
}

static void
take_group(struct reading *reading, const char *value, bool negated)
{
    if (negated)
        complain(reading, "Can not use -q!G");
    else if (reading->groups++ > 0)
        complain(reading, "Can not use multiple -qG options");
    else
        reading->options->group = value;
}

static void
take_run(struct reading *reading, const char *value)
{
    struct sendmail_options *options = reading->options;
    bool negated = value[0] == '!';

    reading->asks_run = true;
    if (negated)
        value++;
    if (value[0] != '\0' && strchr("IRS", value[0]) != NULL)
        mailq_selection_add(&options->selection, value[0], negated, value + 1);
    else if (value[0] == 'G')
        take_group(reading, value + 1, negated);
    else if (value[0] == 'Q' || value[0] == 'L')
        options->selection.queue = value[0];
    else if (value[0] == 'f' && value[1] == '\0')
        options->foreground = true;
    else
        take_interval(reading, value[0] == 'p' ? value + 1 : value);
}

/* Of those with a value, what means something here. */
static const struct {
    char letter;
    void (*take)(struct reading *reading, const char *value);
} TAKERS[] = {
    {'b', take_mode},
    {'f', take_sender},
    {'r', take_sender},
    {'F', take_full_name},
    {'B', take_body_type},
    {'N', take_notify},
    {'R', take_return_part},
    {'V', take_envelope_id},
    {'h', take_hops},
    {'C', take_configuration},
    {'o', take_short_setting},
    {'O', take_long_setting},
    {'q', take_run},
    {'Q', take_quarantine},
};

static void
take_value(struct reading *reading, char letter, const char *value)
{
    for (size_t i = 0; i < sizeof(TAKERS) / sizeof(TAKERS[0]); i++)
        if (TAKERS[i].letter == letter)
            TAKERS[i].take(reading, value);
}

static void
take_flag(struct sendmail_options *options, char letter)
{
    if (letter == 't')
        options->from_headers = true;
    else if (letter == 'i')
        options->ignore_dots = true;
    else if (letter == 'v')
        options->verbose = true;
}

/* WORD, which begins with "-". Returns how many of the words after it belong to it. */
static int
take_word(struct reading *reading, const char *word, const char *next)
{
    for (word++; *word != '\0'; word++) {
        if (*word == 'q' || *word == 'd') {
            take_value(reading, *word, word + 1);
            return 0;
        }
        if (strchr(VALUED, *word) == NULL) {
            take_flag(reading->options, *word);
            continue;
        }
        if (word[1] == '\0' && next == NULL)
            complain(reading, "sendmail: option requires an argument -- '%c'", *word);
        else
            take_value(reading, *word, word[1] != '\0' ? word + 1 : next);
        return word[1] == '\0' ? 1 : 0;
    }
    return 0;
}

/* What the options are all together. */
static void
conclude(struct reading *reading)
{
    struct sendmail_options *options = reading->options;

    if (reading->status != EX_OK)
        return;
    if (reading->asks_run && (options->mode_letter == 's' || options->mode_letter == 't'))
        complain(reading, "%sCan not use -q with -b%c", options->mode_letter == 's' ? "550 " : "",
            options->mode_letter);
    else if (options->mode == SENDMAIL_SUBMIT && reading->asks_run)
        options->mode = options->interval > 0 ? SENDMAIL_DAEMON : SENDMAIL_RUN;
    if ((options->mode == SENDMAIL_RUN || options->mode == SENDMAIL_DAEMON) &&
        options->selection.queue != '\0')
        complain(reading, "-q%c is for listings: a job that is %s is not run",
            options->selection.queue, options->selection.queue == 'Q' ? "held" : "lost");
    if (options->mode_letter == 'D')
        options->foreground = true;
}

/* Options and other words may come in any order. */
static void
take_words(struct reading *reading, int argc, char **argv)
{
    struct sendmail_options *options = reading->options;
    bool only_words = false;

    for (int i = 1; i < argc; i++) {
        if (only_words || argv[i][0] != '-' || argv[i][1] == '\0')
            options->words[options->word_count++] = argv[i];
        else if (strcmp(argv[i], "--") == 0)
            only_words = true;
        else
            i += take_word(reading, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
    }
}

int
sendmail_options_parse(
    struct sendmail_options *options, bool is_mailq, int argc, char **argv, FILE *errors)
{
    struct reading reading = {.options = options, .errors = errors, .status = EX_OK};

    *options = (struct sendmail_options){.load = -1, .factor = 600000};
    options->words = memory_new((size_t)argc + 1, sizeof(*options->words));
    if (is_mailq)
        options->mode = SENDMAIL_PRINT;
    take_words(&reading, argc, argv);
    conclude(&reading);
    return reading.status;
}

void
sendmail_options_free(struct sendmail_options *options)
{
    mailq_selection_free(&options->selection);
    free(options->words);
    options->words = NULL;
}
