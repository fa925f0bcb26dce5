/*
 * Test mails of `smailer test`: one mail of control's, over a connection of its own.
 */
#ifndef SMAILER_QMGR_TRIAL_H
#define SMAILER_QMGR_TRIAL_H

#include "lib/channel.h"
#include "lib/message.h"
#include "qmgr/finish.h"
#include "qmgr/job.h"
#include "qmgr/worker.h"

/* Control asks for the job to be sent; its verdict comes from cleanup. */
void trial_handle(struct channel *from, const struct message *message);

/* Nobody will judge it any more. */
void trial_handle_cancel(struct channel *from, const struct message *message);

/* The verdict of a trial came. */
void trial_judged(struct job *job);

void trial_link_up(struct worker *worker);
void trial_link_failed(struct worker *worker, const struct attempt *attempt);

/* The job was tried; it ends here. */
void trial_end(struct job *job, const struct attempt *attempt);

#endif
