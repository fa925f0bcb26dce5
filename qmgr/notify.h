/*
 * Who is told of a mail of a spool or a table that is dropped: what its account says (notify). The
 * notice is a job of an mqueue below state_directory.
 */
#ifndef SMAILER_QMGR_NOTIFY_H
#define SMAILER_QMGR_NOTIFY_H

#include <stdbool.h>

#include "lib/channel.h"
#include "qmgr/committer.h"
#include "qmgr/finish.h"
#include "qmgr/job.h"

/* True where COMMIT, which is JOB's, drops the mail and somebody is to be told: then it is
 * submitted once the notice is. ATTEMPT: what a relay said, or NULL. */
bool notify_begin(struct job *job, struct commit *commit, const struct attempt *attempt);

/* Cleanup made the notice, *CONTENT (-1: it could not), *HEADER octets of which are its header. */
void notify_made(struct job *job, struct commit *commit, struct notice_request *request,
    int content, uint64_t header);

#endif
