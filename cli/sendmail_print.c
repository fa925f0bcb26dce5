#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#include "cli/mailq_fetch.h"
#include "cli/output.h"
#include "cli/sendmail_command.h"

/* The system's load as sendmail counts it: to the nearest whole number. */
static int64_t
measure_load(void)
{
    double load = 0;

    return getloadavg(&load, 1) == 1 ? (int64_t)(load + 0.5) : 0;
}

int
sendmail_print(const struct sendmail_options *options)
{
    struct mailq_lists lists;
    int status = mailq_fetch(&lists, options);
    size_t total = 0;

    for (size_t i = 0; i < lists.count && status == EX_OK; i++) {
        mailq_list_print(stdout, lists.lists[i], options, time(NULL), measure_load());
        total += lists.lists[i]->count;
    }
    /* Of a group sendmail does not say how many there are. */
    if (status == EX_OK && options->group == NULL)
        printf("\t\tTotal requests: %zu\n", total);
    mailq_lists_free(&lists);
    return output_end(status);
}
