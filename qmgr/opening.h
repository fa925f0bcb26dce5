/*
 * The queues of the bases: opened at the start, and again and again where that was not possible.
 */
#ifndef SMAILER_QMGR_OPENING_H
#define SMAILER_QMGR_OPENING_H

#include "qmgr/base.h"
#include "qmgr/committer.h"

/* Opens all. */
void opening_open(void);

/* COMMIT, of COMMIT_OPEN, is done: BASE's queue is open, or has a problem. */
void opening_end(struct base *base, const struct commit *commit);

#endif
