#include "qmgr/syncer.h"
#include "lib/thread.h"

/* The next flush; NULL at the end. */
static struct queue_flush *
await(struct syncer *syncer)
{
    struct queue_flush *flush;

    pthread_mutex_lock(&syncer->lock);
    while (syncer->flush == NULL && !syncer->stopping)
        pthread_cond_wait(&syncer->change, &syncer->lock);
    flush = syncer->flush;
    pthread_mutex_unlock(&syncer->lock);
    return flush;
}

static void
change(struct syncer *syncer, struct queue_flush *flush)
{
    pthread_mutex_lock(&syncer->lock);
    syncer->flush = flush;
    pthread_mutex_unlock(&syncer->lock);
    pthread_cond_broadcast(&syncer->change);
}

static void *
run(void *context)
{
    struct syncer *syncer = context;
    struct queue_flush *flush;

    while ((flush = await(syncer)) != NULL) {
        queue_flush_run(flush);
        change(syncer, NULL);
        syncer->tell(syncer->context);
    }
    return NULL;
}

bool
syncer_start(struct syncer *syncer, void (*tell)(void *context), void *context, struct error *error)
{
    pthread_mutex_init(&syncer->lock, NULL);
    pthread_cond_init(&syncer->change, NULL);
    syncer->tell = tell;
    syncer->context = context;
    syncer->flush = NULL;
    syncer->stopping = false;
    syncer->started = thread_start(&syncer->thread, run, syncer, "the syncer's", error);
    return syncer->started;
}

void
syncer_run(struct syncer *syncer, struct queue_flush *flush)
{
    change(syncer, flush);
}

bool
syncer_is_busy(struct syncer *syncer)
{
    bool busy;

    pthread_mutex_lock(&syncer->lock);
    busy = syncer->flush != NULL;
    pthread_mutex_unlock(&syncer->lock);
    return busy;
}

void
syncer_wait(struct syncer *syncer)
{
    pthread_mutex_lock(&syncer->lock);
    while (syncer->flush != NULL)
        pthread_cond_wait(&syncer->change, &syncer->lock);
    pthread_mutex_unlock(&syncer->lock);
}

void
syncer_stop(struct syncer *syncer)
{
    pthread_mutex_lock(&syncer->lock);
    syncer->stopping = true;
    pthread_mutex_unlock(&syncer->lock);
    pthread_cond_broadcast(&syncer->change);
    if (syncer->started)
        pthread_join(syncer->thread, NULL);
    syncer->started = false;
    pthread_cond_destroy(&syncer->change);
    pthread_mutex_destroy(&syncer->lock);
}
