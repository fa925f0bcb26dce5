#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/tree.h"
#include "lib/channel.h"

/* Where master finds its one client; --client says so. */
#define CLIENT_DESCRIPTOR 3
#define CLIENT_DESCRIPTOR_TEXT "3"

#define ARGUMENTS_MAX 20

struct arguments {
    const char *texts[ARGUMENTS_MAX + 1];
    size_t count;
};

static void
add(struct arguments *arguments, const char *text)
{
    if (arguments->count < ARGUMENTS_MAX)
        arguments->texts[arguments->count++] = text;
}

/* An option with its value, where there is one. */
static void
add_pair(struct arguments *arguments, const char *option, const char *value)
{
    if (value == NULL)
        return;
    add(arguments, option);
    add(arguments, value);
}

static void
begin_arguments(
    struct arguments *arguments, const struct place *place, const struct options *options)
{
    *arguments = (struct arguments){.count = 0};
    add(arguments, "smailer-master");
    add_pair(arguments, "-c", place->configuration);
    add_pair(arguments, "--log-file", options->log_file);
    add_pair(arguments, "--verbose", options->verbose);
    add_pair(arguments, "--testing", options->testing);
    add_pair(arguments, "--tester", options->tester);
    add_pair(arguments, "--mqueue", options->mqueue);
    add_pair(arguments, "--mqueue-interval", options->mqueue_interval);
    if (options->purge)
        add(arguments, "--purge");
}

static _Noreturn void
become_master(const struct place *place, const struct options *options, int client)
{
    struct arguments arguments;

    begin_arguments(&arguments, place, options);
    add_pair(&arguments, "--client", CLIENT_DESCRIPTOR_TEXT);
    if (client == CLIENT_DESCRIPTOR)
        fcntl(client, F_SETFD, 0);
    else if (dup2(client, CLIENT_DESCRIPTOR) < 0)
        _exit(output_problem(EX_OSERR, "dup2: %s", strerror(errno)));
    /* What is listed alone may be on standard output. */
    if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        _exit(output_problem(EX_OSERR, "dup2: %s", strerror(errno)));
    _exit(place_execute_master(place, arguments.texts));
}

int
tree_ask(const struct place *place, const struct options *options,
    const struct conversation *conversation, const struct message *question)
{
    struct error error;
    int ends[2];
    pid_t child;
    int status;
    int tree_status;

    if (!channel_pair(ends, &error))
        return output_problem(EX_OSERR, "%s", error.text);
    child = fork();
    if (child < 0)
        return output_problem(EX_OSERR, "fork: %s", strerror(errno));
    if (child == 0)
        become_master(place, options, ends[1]);
    close(ends[1]);
    status = conversation_hold(conversation, ends[0], question);
    tree_status = place_wait(child);
    if (status >= 0)
        return status;
    if (tree_status != EX_OK)
        return tree_status; /* smailer-master said why */
    return output_problem(EX_SOFTWARE, "smailer's programs ended before they answered");
}

int
tree_become_daemon(const struct place *place, const struct options *options)
{
    struct arguments arguments;

    begin_arguments(&arguments, place, options);
    if (!options->foreground)
        add(&arguments, "--daemon");
    add_pair(&arguments, "--pid-file", options->pid_file);
    return place_execute_master(place, arguments.texts);
}
