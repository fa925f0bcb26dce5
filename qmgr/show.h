/*
 * A run that somebody watches (sendmail -q -v): each of its mails goes over a connection of its
 * own, and what is said there is told to control, as the lines of a dialogue.
 */
#ifndef SMAILER_QMGR_SHOW_H
#define SMAILER_QMGR_SHOW_H

#include <stdbool.h>

#include "lib/channel.h"
#include "lib/message.h"
#include "qmgr/finish.h"
#include "qmgr/job.h"
#include "qmgr/worker.h"

/* From now on the run of that number is shown. */
void show_handle(struct channel *from, const struct message *message);

/* True where JOB, which is ready to be sent, is of that run, and was given to a worker. */
bool show_takes(struct account *account, struct job *job);

/* What became of one recipient, or of all of a JOB that never came to a connection. */
void show_result(
    const struct worker *worker, const struct job *job, const struct message_result *result);
void show_failure(const struct job *job, const struct attempt *attempt);

/* WORKER, which showed its dialogue, is gone. */
void show_end(const struct worker *worker);

#endif
