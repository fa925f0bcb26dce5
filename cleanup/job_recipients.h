/*
 * Who a job of sendmail's queue goes to.
 */
#ifndef SMAILER_CLEANUP_JOB_RECIPIENTS_H
#define SMAILER_CLEANUP_JOB_RECIPIENTS_H

#include "queue/control_file.h"

#include "cleanup/judge.h"
#include "cleanup/local.h"

/* Fills JUDGEMENT's recipients, details and problems: of CONTROL's recipients as many as one
 * message carries, those that were never tried first. LOCAL says where local names go. */
void job_recipients_add(
    struct judgement *judgement, const struct control_file *control, const struct local *local);

#endif
