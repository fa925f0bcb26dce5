/*
 * sendmail and mailq: the commands that programs and administrators know, over smailer's queue.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>

#include "cli/help.h"
#include "cli/output.h"
#include "cli/program.h"
#include "cli/sendmail_command.h"
#include "lib/log.h"
#include "lib/version.h"

/* The only group of sendmail's that there is. */
#define GROUP "mqueue"

static int
count_jobs(const struct sendmail_options *options)
{
    (void)options;
    puts("Data unavailable: shared memory not updated");
    return output_end(EX_OK);
}

static int
do_nothing(const struct sendmail_options *options)
{
    (void)options;
    return EX_OK;
}

static int
refuse(const struct sendmail_options *options)
{
    return output_problem(EX_USAGE,
        "sendmail -b%c is not there: smailer takes mails and sends them", options->mode_letter);
}

static int (*const MODES[])(const struct sendmail_options *options) = {
    [SENDMAIL_SUBMIT] = sendmail_submit,
    [SENDMAIL_PRINT] = sendmail_print,
    [SENDMAIL_COUNT] = count_jobs,
    [SENDMAIL_RUN] = sendmail_run,
    [SENDMAIL_DAEMON] = sendmail_daemon,
    [SENDMAIL_NOTHING] = do_nothing,
    [SENDMAIL_SMTP] = sendmail_smtp,
    [SENDMAIL_REFUSED] = refuse,
};

/* False where -qG names a group that is not there, which was said. */
static bool
check_group(const struct sendmail_options *options)
{
    if (options->group == NULL || strcasecmp(options->group, GROUP) == 0)
        return true;
    fputs("Queue group ", stdout);
    output_text(stdout, options->group);
    fputs(" unknown\n", stdout);
    return false;
}

/* The words of GNU, which sendmail knows nothing of. False where there is none. */
static bool
tells_of_itself(int argc, char **argv)
{
    if (argc < 2)
        return false;
    if (strcmp(argv[1], "--help") == 0)
        fputs(SENDMAIL_HELP_TEXT, stdout);
    else if (strcmp(argv[1], "--version") == 0)
        printf("sendmail (smailer) %s\n", SMAILER_VERSION);
    else
        return false;
    return true;
}

static int
run(bool is_mailq, int argc, char **argv)
{
    struct sendmail_options options;
    int status;

    log_open("sendmail");
    log_set_level(LOG_LEVEL_ERROR);
    signal(SIGPIPE, SIG_IGN);
    tzset();
    if (tells_of_itself(argc, argv))
        return output_end(EX_OK);
    status = sendmail_options_parse(&options, is_mailq, argc, argv, stdout);
    if (status == EX_OK && check_group(&options))
        status = MODES[options.mode](&options);
    else
        status = output_end(status);
    sendmail_options_free(&options);
    return status;
}

int
sendmail_main(int argc, char **argv)
{
    return run(false, argc, argv);
}

int
mailq_main(int argc, char **argv)
{
    return run(true, argc, argv);
}
