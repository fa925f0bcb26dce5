/*
 * What could not be done on the disk. The mail stays in hand, and only the disk is asked again: one
 * that the relay has accepted must not be sent again because its file cannot be moved.
 *
 * A disk that is full or fails is its queue's problem, and nothing new is taken from that queue
 * until it works again. A single file that cannot be moved (an immutable one, say) is not, unless
 * there are many.
 */
#ifndef SMAILER_QMGR_HELD_H
#define SMAILER_QMGR_HELD_H

#include "qmgr/committer.h"
#include "qmgr/job.h"

void held_open(void);

/* Keeps COMMIT, which is JOB's and failed, and submits it again later. */
void held_add(struct job *job, struct commit *commit);

/* A commit of JOB's is done, or need not be done any more. */
void held_note_end(struct job *job);

#endif
