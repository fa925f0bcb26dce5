#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/memory.h"
#include "lib/version.h"
#include "master/options.h"

#ifndef CONFDIR
#define CONFDIR "/etc/smailer"
#endif

static const char HELP[] =
    "Usage: smailer-master [-c CONFDIR] [-d] [-n] [-1] [--log-file PATH] [--pid-file PATH]\n"
    "Sends the mails of the queues that the configuration names.\n"
    "\n"
    "  -c, --cfg-file CONFDIR  the directory of main.cf, master.cf and accounts.cf\n"
    "                          (" CONFDIR ")\n"
    "  -d, --daemon            go to the background once everything runs\n"
    "  -n, --check             check the configuration, print what would be used, and end\n"
    "  -1, --once              work the queues off once, and end\n"
    "      --log-file PATH     log everything to this file\n"
    "      --pid-file PATH     write the process id to this file, too\n"
    "  -h, --help              show this help\n"
    "  -v, --version           show the version\n"
    "\n"
    "For smailer(1) and sendmail(8) alone:\n"
    "      --client N          serve the client at descriptor N, and end with it\n"
    "      --testing ADDRESS   send every mail to ADDRESS instead\n"
    "      --tester ADDRESS    send every mail from ADDRESS instead\n"
    "      --purge             let tested mails move to drop/\n"
    "      --verbose LEVEL     in place of log_level\n"
    "      --mqueue DIRECTORY  serve that queue of sendmail's alone\n"
    "      --mqueue-interval TIME\n"
    "                          in place of the mqueue sections' interval\n"
    "      --print-run-directory\n"
    "                          print the directory of the pid file and the control socket\n"
    "      --print-state-directory\n"
    "                          print the directory of what outlives a restart\n"
    "\n"
    "SIGTERM ends smailer, SIGHUP reloads its configuration, SIGUSR1 reopens its logs.\n"
    "See smailer-master(8).\n";

enum {
    OPTION_LOG_FILE = 256,
    OPTION_PID_FILE,
    OPTION_CLIENT,
    OPTION_TESTING,
    OPTION_TESTER,
    OPTION_PURGE,
    OPTION_VERBOSE,
    OPTION_MQUEUE,
    OPTION_MQUEUE_INTERVAL,
    OPTION_PRINT_RUN_DIRECTORY,
    OPTION_PRINT_STATE_DIRECTORY
};

static const struct option LONG_OPTIONS[] = {
    {"cfg-file", required_argument, NULL, 'c'},
    {"check", no_argument, NULL, 'n'},
    {"client", required_argument, NULL, OPTION_CLIENT},
    {"daemon", no_argument, NULL, 'd'},
    {"help", no_argument, NULL, 'h'},
    {"log-file", required_argument, NULL, OPTION_LOG_FILE},
    {"mqueue", required_argument, NULL, OPTION_MQUEUE},
    {"mqueue-interval", required_argument, NULL, OPTION_MQUEUE_INTERVAL},
    {"once", no_argument, NULL, '1'},
    {"pid-file", required_argument, NULL, OPTION_PID_FILE},
    {"print-run-directory", no_argument, NULL, OPTION_PRINT_RUN_DIRECTORY},
    {"print-state-directory", no_argument, NULL, OPTION_PRINT_STATE_DIRECTORY},
    {"purge", no_argument, NULL, OPTION_PURGE},
    {"tester", required_argument, NULL, OPTION_TESTER},
    {"testing", required_argument, NULL, OPTION_TESTING},
    {"verbose", required_argument, NULL, OPTION_VERBOSE},
    {"version", no_argument, NULL, 'v'},
    {NULL, 0, NULL, 0},
};

static bool
complain(const char *words)
{
    fprintf(stderr, "smailer-master: %s\n", words);
    return false;
}

/* PATH seen from the directory that master leaves later. */
static bool
set_path(char **target, const char *path)
{
    char *here;

    free(*target);
    *target = NULL;
    if (path[0] == '\0')
        return complain("a path must not be empty");
    if (path[0] == '/') {
        *target = memory_copy_text(path);
        return true;
    }
    here = getcwd(NULL, 0);
    if (here == NULL)
        return complain("the working directory is gone: give an absolute path");
    *target = memory_format("%s/%s", strcmp(here, "/") == 0 ? "" : here, path);
    free(here);
    return true;
}

static bool
set_client(struct options *options, const char *text)
{
    char *end;
    long number;

    errno = 0;
    number = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < 3 || number > 65535 ||
        fcntl((int)number, F_SETFD, FD_CLOEXEC) != 0)
        return complain("--client: not an open descriptor");
    options->client = (int)number;
    return true;
}

static bool
take_option(struct options *options, int option)
{
    switch (option) {
    case 'c':
        return set_path(&options->configuration_directory, optarg);
    case OPTION_LOG_FILE:
        return set_path(&options->log_file, optarg);
    case OPTION_PID_FILE:
        return set_path(&options->pid_file, optarg);
    case OPTION_MQUEUE:
        return set_path(&options->mqueue, optarg);
    case OPTION_MQUEUE_INTERVAL:
        options->mqueue_interval = optarg;
        return true;
    case OPTION_CLIENT:
        return set_client(options, optarg);
    case OPTION_TESTING:
        options->testing = optarg;
        return true;
    case OPTION_TESTER:
        options->tester = optarg;
        return true;
    case OPTION_VERBOSE:
        options->verbose = optarg;
        return true;
    case OPTION_PURGE:
        return options->purge = true;
    case OPTION_PRINT_RUN_DIRECTORY:
        return options->print_run_directory = true;
    case OPTION_PRINT_STATE_DIRECTORY:
        return options->print_state_directory = true;
    case 'd':
        return options->detach = true;
    case 'n':
        return options->check = true;
    case '1':
        return options->once = true;
    default:
        return false; /* getopt said why */
    }
}

static bool
check_combination(const struct options *options, char *const *rest)
{
    if (*rest != NULL)
        return complain("it takes options only");
    if (options->detach && options_on_demand(options))
        return complain("--daemon does not go with --once and --client");
    if (options->mqueue != NULL && !options_on_demand(options))
        return complain("--mqueue is for --once and --client");
    if (options->once && options->client >= 0)
        return complain("--once does not go with --client");
    if ((options->testing != NULL || options->tester != NULL || options->purge) &&
        !options_on_demand(options))
        return complain("--testing, --tester and --purge are for --once and --client; "
                        "main.cf has a key for the daemon");
    return true;
}

/* True where OPTION only wants something printed. */
static bool
print_asked(int option)
{
    if (option == 'h')
        fputs(HELP, stdout);
    else if (option == 'v')
        puts("smailer-master " SMAILER_VERSION);
    else
        return false;
    return true;
}

bool
options_parse(struct options *options, int argc, char **argv, int *status)
{
    int option;

    *options = (struct options){.client = -1};
    *status = EX_USAGE;
    while ((option = getopt_long(argc, argv, "1c:dhnv", LONG_OPTIONS, NULL)) != -1) {
        if (print_asked(option)) {
            *status = fflush(stdout) == 0 ? EX_OK : EX_IOERR;
            return false;
        }
        if (!take_option(options, option))
            break;
    }
    if (option != -1 || !check_combination(options, argv + optind)) {
        fputs("Try 'smailer-master --help'.\n", stderr);
        return false;
    }
    return options->configuration_directory != NULL ||
           set_path(&options->configuration_directory, CONFDIR);
}

void
options_free(struct options *options)
{
    free(options->configuration_directory);
    free(options->log_file);
    free(options->pid_file);
    free(options->mqueue);
    options->configuration_directory = NULL;
    options->log_file = NULL;
    options->pid_file = NULL;
    options->mqueue = NULL;
}

bool
options_on_demand(const struct options *options)
{
    return options->once || options->client >= 0;
}
