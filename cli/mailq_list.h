/*
 * A listing of mailq: the jobs of one directory, sorted, between its frame's lines.
 */
#ifndef SMAILER_MAILQ_LIST_H
#define SMAILER_MAILQ_LIST_H

#include "cli/mailq_job.h"
#include "cli/sendmail_options.h"

struct mailq_list {
    char *directory;
    struct mailq_job **jobs;
    size_t count;
};

struct mailq_list *mailq_list_new(const char *directory);
void mailq_list_free(struct mailq_list *list);

/* Adds JOB, which is the list's from now on, where OPTIONS select it. */
void mailq_list_add(
    struct mailq_list *list, const struct sendmail_options *options, struct mailq_job *job);

void mailq_list_sort(struct mailq_list *list, enum sendmail_order order);

/* Heading and jobs, at NOW (seconds) and with a system load of LOAD; the list is sorted. */
void mailq_list_print(FILE *file, struct mailq_list *list, const struct sendmail_options *options,
    int64_t now, int64_t load);

#endif
