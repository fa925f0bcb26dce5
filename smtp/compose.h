/*
 * The sending half of a session's transactions: what is to be said next; see transaction.h.
 */
#ifndef SMAILER_SMTP_COMPOSE_H
#define SMAILER_SMTP_COMPOSE_H

#include "smtp/transaction.h"

/* Fills the output, which must be empty, with all that may be said now. */
void compose(struct transaction *transaction);

/* Goes on with content or dot after the server's 354. */
void compose_content(struct transaction *transaction, struct job *job);

/* The mail that is being composed will get no further. */
void compose_next_job(struct transaction *transaction);

/* Tells what became of RECIPIENT, if that is not done yet. */
void tell(struct transaction *transaction, struct job *job, size_t recipient, enum stage stage,
    const struct reply *reply);

/* The same for every recipient of JOB that is not told of. */
void tell_all(
    struct transaction *transaction, struct job *job, enum stage stage, const struct reply *reply);

/* Gives back what is done with, in order. */
void finish_jobs(struct transaction *transaction);

#endif
