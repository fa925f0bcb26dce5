/*
 * smailer-master: starts, watches and replaces the programs that do smailer's work. It parses
 * nothing that a stranger wrote.
 */
#include <stdio.h>
#include <sysexits.h>

#include "lib/log.h"
#include "lib/text.h"
#include "master/configuration_file.h"
#include "master/daemon.h"
#include "master/master.h"
#include "master/queues.h"
#include "master/supervisor.h"

static int
end_output(void)
{
    return fflush(stdout) == 0 && ferror(stdout) == 0 ? EX_OK : EX_IOERR;
}

/* Shows what the configuration says, in place of serving. */
static int
print_configuration(struct configuration *configuration)
{
    queues_find(configuration, true);
    configuration_print(configuration, stdout);
    return end_output();
}

/* For smailer(1), whose caller need not be allowed to read of accounts. */
static int
print_directory(const struct options *options)
{
    struct configuration configuration;
    struct error error;

    if (!configuration_load_main(options->configuration_directory, &configuration, &error)) {
        fprintf(stderr, "smailer-master: %s\n", error.text);
        return EX_CONFIG;
    }
    puts(options->print_run_directory ? configuration.settings.run_directory
                                      : configuration.settings.state_directory);
    configuration_free(&configuration);
    return end_output();
}

static int
serve(struct master *master)
{
    struct error error;
    int status = master_prepare(master, &error);

    if (status == EX_OK)
        return supervisor_run(master);
    if (status != EX_TEMPFAIL)
        error_prefix(&error, "smailer-master");
    text_format(master->farewell, sizeof(master->farewell), "%s", error.text);
    return status;
}

int
main(int argc, char **argv)
{
    struct master master;
    struct error error;
    int status;

    log_open("master");
    master_init(&master);
    if (!daemon_open_standard(&error))
        return EX_OSERR;
    if (!options_parse(&master.options, argc, argv, &status)) {
        options_free(&master.options);
        return status;
    }
    if (master.options.print_run_directory || master.options.print_state_directory) {
        status = print_directory(&master.options);
        options_free(&master.options);
        return status;
    }
    if (!master_load(&master.options, &master.configuration, &master.secrets, &error)) {
        fprintf(stderr, "smailer-master: %s\n", error.text);
        options_free(&master.options);
        return EX_CONFIG;
    }
    if (master.options.check)
        status = print_configuration(&master.configuration);
    else
        status = serve(&master);
    master_release(&master);
    if (master.farewell[0] != '\0')
        daemon_report(&master.report, status, master.farewell);
    return status;
}
