/*
 * What qmgr's main thread and the committer's hand each other: commits to be made, and commits that
 * are done. Waking the other side costs more than a small commit, so the main thread hands over
 * what it collected in a turn at once, and the committer tells of a group at once.
 */
#ifndef SMAILER_EXCHANGE_H
#define SMAILER_EXCHANGE_H

#include <pthread.h>

#include "qmgr/commit_list.h"

#define EXCHANGE_NEVER INT64_MAX

struct exchange {
    int event; /* readable when a commit is done */
    struct commit_list outgoing; /* the main thread's: not handed over yet */
    struct commit_list collected; /* and finished ones that it did not take yet */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    struct commit_list submitted;
    struct commit_list finished;
    bool stopping;
    bool woken; /* there is something to do that was not handed over */
};

bool exchange_open(struct exchange *exchange, struct error *error);
void exchange_close(struct exchange *exchange);

/* ---- the main thread's ---- */

/* Keeps COMMIT until exchange_hand_over. */
void exchange_add(struct exchange *exchange, struct commit *commit);

void exchange_hand_over(struct exchange *exchange);

/* There will be no more. */
void exchange_stop(struct exchange *exchange);

/* The next commit that is done, or NULL; then EVENT is read, and says when there is another. */
struct commit *exchange_collect(struct exchange *exchange);

/* ---- the committer's ---- */

/* Waits until something was handed over, it is DUE (ms, monotonic, or EXCHANGE_NEVER), somebody
 * called exchange_wake, or the end; returns all that was handed over, as a chain. */
struct commit *exchange_take(struct exchange *exchange, int64_t due, bool *stopping);

/* Lets exchange_take return. Any thread may call it. */
void exchange_wake(struct exchange *exchange);

/* COMMIT is done; the main thread hears of it at the next exchange_tell. */
void exchange_give(struct exchange *exchange, struct commit *commit);

void exchange_tell(struct exchange *exchange);

#endif
