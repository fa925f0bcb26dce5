/*
 * Jobs of sendmail's queue: locked before they are sent, with several recipients, each of which has
 * an outcome of its own, and with senders who are told.
 */
#ifndef SMAILER_QMGR_MQUEUE_H
#define SMAILER_QMGR_MQUEUE_H

#include <stdbool.h>

#include "lib/channel.h"
#include "lib/message.h"
#include "lib/outcome.h"
#include "qmgr/committer.h"
#include "qmgr/job.h"

/* Locks the job, which is then scheduled again, or ends. FORCE: whatever its time. */
void mqueue_take_job(struct job *job, bool force);

/* COMMIT_TAKE is done. Always true: the commit is of no more use. */
bool mqueue_end_take(struct job *job, struct commit *commit);

/* Notes what cleanup said of recipients that cannot be sent to. */
void mqueue_note_problems(struct job *job, const struct bytes *problems);

/* Notes what WORKER said of one recipient. False while others are to come. */
bool mqueue_note_result(
    struct job *job, const struct message_result *result, const struct worker *worker);

/* What a run of sendmail's ends with (sysexits.h) where a recipient failed for good so. */
int mqueue_status(enum stage stage, uint32_t code);

/* The job's try is over: what was noted becomes true. */
void mqueue_finish(struct job *job);

/* The commit needs a notice: cleanup is asked for it, and then it is submitted again. */
void mqueue_ask_notice(struct job *job, struct commit *commit);
void mqueue_handle_notice(struct channel *from, const struct message *message);
void mqueue_cleanup_left(struct channel *channel);

/* The same for a mail of another queue; see notify_made(). REQUEST is owned from now on. */
void mqueue_ask(
    struct job *job, struct commit *commit, struct notice_request *request, const char *hostname);

/* Says that somebody was told, or could not be. */
void mqueue_log_notice(const struct commit *commit);

#endif
