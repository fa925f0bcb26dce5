/*
 * How a mail leaves: what the committer is told to do with it, and, when that is done, what pickup
 * and the log are told.
 */
#ifndef SMAILER_QMGR_FINISH_H
#define SMAILER_QMGR_FINISH_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/outcome.h"
#include "qmgr/committer.h"
#include "qmgr/job.h"

/* What a try came to, as a worker or a probe tells. */
struct attempt {
    enum stage stage;
    uint32_t code; /* 0: none */
    const char *enhanced;
    const char *words;
    const char *relay; /* "host[address]:port", "" for none */
    bool logged; /* the worker wrote the line with status= */
};

/* Starts the committer and opens the queues; those that cannot be used have their problem noted. */
bool finish_open(struct error *error);

/* Whatever the attempt means for the mail, by outcome_decide(). */
void finish_attempt(struct job *job, const struct attempt *attempt);

/* It can never be sent, and no relay was asked. */
void finish_dropped(struct job *job, const char *reason);

/* It cannot be sent as things are, and no relay was asked. */
void finish_deferred(struct job *job, const char *reason);

/* Somebody died with it in hand. */
void finish_struck(struct job *job, const char *reason);

/* A list becomes its mails. */
void finish_split(struct job *job);

/* Nothing is done to it; pickup is told END and, where that has one, a time (ms since 1970). */
void finish_untouched(struct job *job, enum job_end end, int64_t next_try);

/* A commit of KIND for JOB, to be filled in further; finish_commit() submits it. */
struct commit *finish_prepare(struct job *job, enum commit_kind kind, const char *reason);
void finish_commit(struct job *job, struct commit *commit);

/* Submits a commit that no job waits for. */
void finish_alone(struct commit *commit);

/* Lets go of the job of an mqueue, where it is locked. */
void finish_release(struct job *job);

/* The try of a job of an mqueue is over: its outcomes say what became of each recipient, OUTCOME
 * of all, for WORDS. */
void finish_outcomes(struct job *job, enum outcome outcome, const char *words);

/* Hands COMMIT to the committer: a recorder's, one that failed before, or one that is no mail's in
 * hand. */
void finish_submit(struct commit *commit);

/* For recorders: COMMIT, which is JOB's, is done, with its result. */
void finish_collect(struct job *job, struct commit *commit);

/* True from finish_close() on: nothing is tried again. */
bool finish_is_closing(void);

/* Takes what the committer has done, whether it could say so or not. */
void finish_hear(void);

/* Waits until everything is done and synced, and ends the committer. */
void finish_close(void);

#endif
