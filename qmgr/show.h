/*
 * A run that somebody watches (sendmail -q -v): its mails go one by one over a connection that is
 * kept for them, and what is said there is told to control, as the lines of a dialogue.
 */
#ifndef SMAILER_QMGR_SHOW_H
#define SMAILER_QMGR_SHOW_H

#include <stdbool.h>

#include "lib/channel.h"
#include "lib/message.h"
#include "qmgr/finish.h"
#include "qmgr/job.h"
#include "qmgr/worker.h"

/* The run of that number is shown, or was. */
void show_handle(struct channel *from, const struct message *message);

/* True where JOB, which is ready to be sent, is of that run, or is a notice that came of one. */
bool show_wants(const struct job *job);

/* ACCOUNT's worker for such jobs; NULL where there is none. */
struct worker *show_worker(const struct account *account);

/* Starts it, and says so of the first job; NULL where that is not possible now. */
struct worker *show_connect(struct account *account);

/* WORKER, whose hands are empty, is to get a job. */
void show_deliver(struct worker *worker);

/* WORKER tells LINE of its dialogue: what has to be said before it is. */
void show_spoken(struct worker *worker, const char *line);

/* What became of one recipient. */
void show_result(
    const struct worker *worker, const struct job *job, const struct message_result *result);

/* JOB is not tried, or not any more: why. */
void show_refused(const struct job *job, const char *words);

/* A recipient of JOB, which is taken, to whom nothing can be sent: why. */
void show_problem(const struct job *job, const struct mqueue_outcome *outcome);

/* WORKER never came to a connection, or lost it. */
void show_link_failed(struct worker *worker, const struct attempt *attempt);

/* It is gone; DIED is what that means where it told nothing. */
void show_closed(struct worker *worker, const struct attempt *died);

/* JOB was recorded, and a notice became the job ID ("": none did). */
void show_notice(const struct job *job, const char *id);

#endif
