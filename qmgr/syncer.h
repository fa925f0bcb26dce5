/*
 * The thread that the committer has do its syncs, so that a disk that takes its time over what a
 * deferred mail's record needs does not hold up those that need none. It knows no queue: only what
 * a flush says is to be synced, one at a time.
 */
#ifndef SMAILER_SYNCER_H
#define SMAILER_SYNCER_H

#include <pthread.h>

#include "queue/flush.h"

struct syncer {
    pthread_t thread;
    bool started;
    void (*tell)(void *context); /* called by the thread when a flush has run */
    void *context;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t change;
    struct queue_flush *flush; /* to be run; NULL: none, or it has */
    bool stopping;
};

bool syncer_start(
    struct syncer *syncer, void (*tell)(void *context), void *context, struct error *error);

/* Runs FLUSH, the caller's, who does not touch it until that is over. None may be under way. */
void syncer_run(struct syncer *syncer, struct queue_flush *flush);

bool syncer_is_busy(struct syncer *syncer);

/* Until it is not. */
void syncer_wait(struct syncer *syncer);

/* Ends the thread after what it does. To be called once, whatever syncer_start returned. */
void syncer_stop(struct syncer *syncer);

#endif
