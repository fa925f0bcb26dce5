/*
 * The jobs of sendmail's queues, as smailer-control tells of them.
 */
#ifndef SMAILER_MAILQ_FETCH_H
#define SMAILER_MAILQ_FETCH_H

#include "cli/mailq_list.h"

/* One list for each queue that was asked about. */
struct mailq_lists {
    struct mailq_list **lists;
    size_t count;
    bool irregular; /* there was a link, a FIFO, ... with a job's name, and that was said */
};

/* Fills LISTS with the jobs that OPTIONS select, in no order. Returns EX_OK, or the status to end
 * with, after saying why; mailq_lists_free is due in any case. */
int mailq_fetch(struct mailq_lists *lists, const struct sendmail_options *options);

void mailq_lists_free(struct mailq_lists *lists);

#endif
