#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>

#include "cli/help.h"
#include "cli/options.h"
#include "cli/output.h"
#include "lib/spelling.h"
#include "lib/text.h"
#include "lib/version.h"
#include "queue/queue.h"

#define TIMEOUT_MAX 86400

enum {
    OPTION_SID = 256,
    OPTION_TESTING,
    OPTION_TESTER,
    OPTION_PURGE,
    OPTION_TIMEOUT,
    OPTION_VERBOSE,
    OPTION_LOG_FILE,
    OPTION_PID_FILE,
    OPTION_DAEMON,
    OPTION_JSON,
    OPTION_PRINT,
    OPTION_STATE
};

static const struct option LONG_OPTIONS[] = {
    {"cfg-file", required_argument, NULL, 'c'},
    {"daemon", no_argument, NULL, OPTION_DAEMON},
    {"help", no_argument, NULL, 'h'},
    {"json", no_argument, NULL, OPTION_JSON},
    {"log-file", required_argument, NULL, OPTION_LOG_FILE},
    {"pid-file", required_argument, NULL, OPTION_PID_FILE},
    {"print", no_argument, NULL, OPTION_PRINT},
    {"purge", no_argument, NULL, OPTION_PURGE},
    {"sid", required_argument, NULL, OPTION_SID},
    {"state", required_argument, NULL, OPTION_STATE},
    {"tester", required_argument, NULL, OPTION_TESTER},
    {"testing", required_argument, NULL, OPTION_TESTING},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"verbose", required_argument, NULL, OPTION_VERBOSE},
    {"version", no_argument, NULL, 'v'},
    {NULL, 0, NULL, 0},
};

static const char *const LEVELS[] = {"error", "warn", "info", "debug"};

#define STATE_NAME(value, name) name,
static const char *const STATES[] = {MAIL_STATES(STATE_NAME) "all"};

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int
options_complain(const char *format, ...)
{
    char words[1024];
    char shown[2048];
    va_list arguments;

    va_start(arguments, format);
    text_format_list(words, sizeof(words), format, arguments);
    va_end(arguments);
    fprintf(
        stderr, "smailer: %s\nTry 'smailer --help'.\n", text_escape(shown, sizeof(shown), words));
    return EX_USAGE;
}

const char *
options_nearest(const char *name, const char *const *names, int count)
{
    const char *nearest = NULL;
    size_t least = 3;

    for (int i = 0; i < count; i++) {
        size_t distance = spelling_distance(name, names[i]);

        if (distance >= least || distance >= strlen(names[i]))
            continue;
        least = distance;
        nearest = names[i];
    }
    return nearest;
}

int
options_choose(const char *what, const char *name, const char *const *names, int count)
{
    const char *nearest;
    char all[256] = "";

    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
        strlcat(all, i > 0 ? ", " : "", sizeof(all));
        strlcat(all, names[i], sizeof(all));
    }
    nearest = options_nearest(name, names, count);
    if (nearest != NULL)
        options_complain("there is no %s \"%s\"; is \"%s\" meant?", what, name, nearest);
    else
        options_complain("there is no %s \"%s\"; expected one of %s", what, name, all);
    return -1;
}

bool
options_parse_states(const char *text, uint32_t *states)
{
    char copy[256];
    char *rest = copy;
    const char *name;

    *states = 0;
    if (!text_format(copy, sizeof(copy), "%s", text)) {
        options_complain("--state: too long");
        return false;
    }
    while ((name = strsep(&rest, ",")) != NULL) {
        int state = options_choose("state", name, STATES, COUNT(STATES));

        if (state < 0)
            return false;
        *states |= state == MAIL_STATE_COUNT ? (1U << MAIL_STATE_COUNT) - 1 : 1U << state;
    }
    return true;
}

static bool
parse_timeout(const char *text, unsigned *timeout)
{
    const char *reason;

    *timeout = (unsigned)strtonum(text, 1, TIMEOUT_MAX, &reason);
    if (reason != NULL)
        options_complain(
            "--timeout: \"%s\" is not a number of seconds from 1 to %d", text, TIMEOUT_MAX);
    return reason == NULL;
}

/* Where an option's text goes; NULL for those that are more than a text. */
static const char **
find_text(struct options *options, int option)
{
    switch (option) {
    case 'c':
        return &options->configuration_directory;
    case OPTION_SID:
        return &options->sid;
    case OPTION_TESTING:
        return &options->testing;
    case OPTION_TESTER:
        return &options->tester;
    case OPTION_VERBOSE:
        return &options->verbose;
    case OPTION_LOG_FILE:
        return &options->log_file;
    case OPTION_PID_FILE:
        return &options->pid_file;
    default:
        return NULL;
    }
}

static bool
take_option(struct options *options, int option)
{
    const char **text = find_text(options, option);

    if (text != NULL) {
        if (optarg[0] == '\0') {
            options_complain("an option has an empty value");
            return false;
        }
        *text = optarg;
        return option != OPTION_VERBOSE ||
               options_choose("level", optarg, LEVELS, COUNT(LEVELS)) >= 0;
    }
    switch (option) {
    case OPTION_STATE:
        return options_parse_states(optarg, &options->states);
    case OPTION_TIMEOUT:
        return parse_timeout(optarg, &options->timeout);
    case OPTION_PURGE:
        return options->purge = true;
    case OPTION_DAEMON:
        return options->daemon = true;
    case OPTION_PRINT:
        return options->print = true;
    case OPTION_JSON:
        return options->json = true;
    default:
        fputs("Try 'smailer --help'.\n", stderr); /* getopt said why */
        return false;
    }
}

/* True for what may be an address; whether it is one, the programs that use it judge. */
static bool
is_like_address(const char *text)
{
    const char *at = strrchr(text, '@');

    return at != NULL && at != text && at[1] != '\0' && strpbrk(text, " \t\r\n") == NULL;
}

static bool
check_address(const char *option, const char *address)
{
    if (address == NULL || is_like_address(address))
        return true;
    options_complain("%s: \"%s\" is not a mail address", option, address);
    return false;
}

static bool
check_combination(const struct options *options)
{
    if (options->testing == NULL && (options->purge || options->tester != NULL)) {
        options_complain("%s goes with --testing", options->purge ? "--purge" : "--tester");
        return false;
    }
    if (options->daemon && options->word_count > 0) {
        options_complain("--daemon takes no command");
        return false;
    }
    return check_address("--testing", options->testing) &&
           check_address("--tester", options->tester);
}

bool
options_parse(struct options *options, int argc, char **argv, int *status)
{
    int option;

    *options = (struct options){.states = 0};
    *status = EX_USAGE;
    while ((option = getopt_long(argc, argv, "c:hv", LONG_OPTIONS, NULL)) != -1) {
        if (option == 'h' || option == 'v') {
            fputs(option == 'h' ? HELP_TEXT : "smailer " SMAILER_VERSION "\n", stdout);
            *status = output_end(EX_OK);
            return false;
        }
        if (!take_option(options, option))
            return false;
    }
    options->words = argv + optind;
    options->word_count = argc - optind;
    return check_combination(options);
}
