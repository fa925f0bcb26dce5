#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "cli/connection.h"
#include "cli/output.h"
#include "cli/sendmail_command.h"
#include "lib/text.h"

int
sendmail_daemon(const struct sendmail_options *options)
{
    struct options common = {
        .configuration_directory = options->configuration, .foreground = options->foreground};
    char interval[32];

    if (connection_is_running(&common)) {
        fputs("The sendmail subsystem is already active. "
              "Multiple instances are not supported.\n",
            stderr);
        return EX_TEMPFAIL;
    }
    if (options->interval > 0) {
        text_format(interval, sizeof(interval), "%" PRId64 "s", options->interval);
        common.mqueue_interval = interval;
    }
    return connection_become_daemon(&common);
}
