#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "cli/command.h"
#include "cli/connection.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/program.h"
#include "lib/log.h"

/* Options that mean nothing to most commands. */
#define TAKES_STATE 1U
#define TAKES_JSON 2U
#define TAKES_TESTING 4U
#define TAKES_PRINT 8U

static const struct command {
    const char *name;
    const char *parameters;
    int least; /* of words after the command */
    int most;
    unsigned int takes;
    int (*run)(const struct options *options, const char *sender, const char *address);
} COMMANDS[] = {
    {"queue", "[SENDER]", 0, 1, TAKES_STATE | TAKES_JSON, command_queue},
    {"send", "[SENDER]", 0, 1, TAKES_JSON | TAKES_TESTING, command_send},
    {"test", "SENDER ADDRESS", 2, 2, 0, command_test},
    {"status", "", 0, 0, TAKES_JSON, command_status},
    {"init", "", 0, 0, TAKES_PRINT, command_init},
};

#define COMMAND_COUNT ((int)(sizeof(COMMANDS) / sizeof(COMMANDS[0])))

static const struct command *
find_command(const char *name)
{
    const char *names[COMMAND_COUNT];
    int place;

    for (int i = 0; i < COMMAND_COUNT; i++)
        names[i] = COMMANDS[i].name;
    place = options_choose("command", name, names, COMMAND_COUNT);
    return place < 0 ? NULL : &COMMANDS[place];
}

/* An option that COMMAND has no use for; NULL where there is none. */
static const char *
find_useless(const struct command *command, const struct options *options)
{
    if (options->states != 0 && (command->takes & TAKES_STATE) == 0)
        return "--state";
    if (options->json && (command->takes & TAKES_JSON) == 0)
        return "--json";
    if (options->testing != NULL && (command->takes & TAKES_TESTING) == 0)
        return "--testing";
    if (options->print && (command->takes & TAKES_PRINT) == 0)
        return "--print";
    return NULL;
}

static int
run_command(const struct options *options)
{
    const struct command *command = find_command(options->words[0]);
    int parameters = options->word_count - 1;
    const char *useless;
    const char *sender;

    if (command == NULL)
        return EX_USAGE;
    useless = find_useless(command, options);
    if (useless != NULL)
        return options_complain("%s does not go with %s", useless, command->name);
    if (parameters < command->least || parameters > command->most)
        return options_complain("too %s parameters: smailer %s %s",
            parameters < command->least ? "few" : "many", command->name, command->parameters);
    sender = parameters > 0 ? options->words[1] : "@";
    if (strlen(sender) > 320 || (options->sid != NULL && strlen(options->sid) > 255))
        return options_complain("an address or a sid is too long");
    if (strchr(sender, '@') == NULL)
        return options_complain("%s is no sender's address; @ means all", sender);
    return command->run(
        options, strcmp(sender, "@") == 0 ? "" : sender, parameters > 1 ? options->words[2] : "");
}

int
smailer_main(int argc, char **argv)
{
    struct options options;
    int status;

    log_open("smailer");
    log_set_level(LOG_LEVEL_ERROR);
    signal(SIGPIPE, SIG_IGN);
    tzset();
    if (!options_parse(&options, argc, argv, &status))
        return status;
    if (options.daemon)
        return connection_become_daemon(&options);
    if (options.word_count == 0)
        return options_complain("which command? queue, send, test, status or init");
    return output_end(run_command(&options));
}
