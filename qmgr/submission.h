/*
 * Messages that users hand in through sendmail: checked, and made jobs of an mqueue, on the disk
 * before anybody is told so.
 */
#ifndef SMAILER_QMGR_SUBMISSION_H
#define SMAILER_QMGR_SUBMISSION_H

#include <stdint.h>
#include <sys/types.h>

#include "lib/channel.h"
#include "lib/message.h"
#include "qmgr/base.h"
#include "qmgr/committer.h"

/* Looks up who may send from the accounts (uids), which the sandbox does not allow later. */
void submission_prepare(void);

void submission_open(void);

/* Why a message was not taken, or EX_OK. EX_CANTCREAT: the disk did not take it; EX_TEMPFAIL:
 * nobody can say now. */
typedef void (*submission_told)(void *context, int status, const char *words);

/* Makes a job for BASE (NULL: the queue is not there) of what is in CONTENT, a sealed memfd that
 * stays the caller's: a control file up to its line ".", and the body. UID hands it in. TELL is
 * called once, now or later. */
void submission_take(
    struct base *base, uid_t uid, int content, submission_told tell, void *context);

/* SUBMISSION came from control. */
void submission_handle(struct channel *from, const struct message *message);

/* COMMIT_SUBMIT is done; the commit is freed. */
void submission_end(struct commit *commit);

#endif
