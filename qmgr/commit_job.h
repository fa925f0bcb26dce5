/*
 * Commits on the jobs of an mqueue: locked, settled, held, let go, and what their senders are told.
 */
#ifndef SMAILER_COMMIT_JOB_H
#define SMAILER_COMMIT_JOB_H

#include "qmgr/committer.h"

/* Does what COMMIT, whose job is not NULL, asks for, and fills in its result. QUEUE_MORE: not
 * before its sender can be told. */
void commit_job_run(struct commit *commit);

#endif
