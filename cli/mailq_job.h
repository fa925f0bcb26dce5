/*
 * A job of sendmail's queue, in the columns of mailq.
 */
#ifndef SMAILER_MAILQ_JOB_H
#define SMAILER_MAILQ_JOB_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/field.h"

struct mailq_job {
    char *name; /* of its control file: "qfAA00269" */
    int64_t size; /* octets of its data file; -1: there is none */
    bool locked; /* somebody has it in hand */
    struct bytes details; /* lines of the control file: queue/control_details.h */

    /* What the details say. */
    int64_t created; /* seconds since 1970; 0: unknown */
    int64_t last_attempt;
    int64_t attempts;
    int64_t priority;
    bool quarantined_early; /* a reason before P and T: sendmail does not list it */
    const char *recipient; /* the first, or NULL; in the details */
};

/* A copy of what is given, in memory of the caller's, which mailq_job_free takes back. */
struct mailq_job *mailq_job_new(
    const char *name, int64_t size, bool locked, const struct bytes *details);
void mailq_job_free(struct mailq_job *job);

/* True where it was tried less than LEAST_AGE seconds before NOW; a time to come does not count. */
bool mailq_job_is_young(const struct mailq_job *job, int64_t least_age, int64_t now);

/* Its lines, as sendmail writes them; MARK: "*", "?", "-", "X" or a blank. */
void mailq_job_print(FILE *file, const struct mailq_job *job, char mark, bool verbose);

#endif
