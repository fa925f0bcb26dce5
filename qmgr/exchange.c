#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "qmgr/exchange.h"

bool
exchange_open(struct exchange *exchange, struct error *error)
{
    pthread_condattr_t attributes;

    commit_list_clear(&exchange->outgoing);
    commit_list_clear(&exchange->collected);
    commit_list_clear(&exchange->submitted);
    commit_list_clear(&exchange->finished);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&exchange->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&exchange->lock, NULL);
    exchange->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return exchange->event >= 0 || error_errno(error, "make an eventfd for the committer");
}

void
exchange_close(struct exchange *exchange)
{
    if (exchange->event >= 0)
        close(exchange->event);
    pthread_cond_destroy(&exchange->wake);
    pthread_mutex_destroy(&exchange->lock);
}

void
exchange_add(struct exchange *exchange, struct commit *commit)
{
    commit_list_append(&exchange->outgoing, commit);
}

/* Signalled without the lock: who is woken would wait for it at once. */
void
exchange_hand_over(struct exchange *exchange)
{
    if (exchange->outgoing.first == NULL)
        return;
    pthread_mutex_lock(&exchange->lock);
    commit_list_move(&exchange->submitted, &exchange->outgoing);
    pthread_mutex_unlock(&exchange->lock);
    pthread_cond_signal(&exchange->wake);
}

void
exchange_stop(struct exchange *exchange)
{
    exchange_hand_over(exchange);
    pthread_mutex_lock(&exchange->lock);
    exchange->stopping = true;
    pthread_mutex_unlock(&exchange->lock);
    pthread_cond_signal(&exchange->wake);
}

/* Takes over all that is finished. */
static void
collect(struct exchange *exchange)
{
    uint64_t count;

    /* Before the list is looked at, so that nothing that comes after goes unnoticed. */
    if (read(exchange->event, &count, sizeof(count)) < 0 && errno != EAGAIN && errno != EINTR)
        log_error("hear the committer: %s", strerror(errno));
    pthread_mutex_lock(&exchange->lock);
    commit_list_move(&exchange->collected, &exchange->finished);
    pthread_mutex_unlock(&exchange->lock);
}

struct commit *
exchange_collect(struct exchange *exchange)
{
    if (exchange->collected.first == NULL)
        collect(exchange);
    return commit_list_take(&exchange->collected);
}

/* With the lock held. */
static void
wait_until(struct exchange *exchange, int64_t due)
{
    const struct timespec limit = {.tv_sec = due / 1000, .tv_nsec = due % 1000 * 1000000};
    int problem = 0;

    while (exchange->submitted.first == NULL && !exchange->stopping && !exchange->woken &&
           problem != ETIMEDOUT)
        problem = due == EXCHANGE_NEVER
                      ? pthread_cond_wait(&exchange->wake, &exchange->lock)
                      : pthread_cond_timedwait(&exchange->wake, &exchange->lock, &limit);
}

struct commit *
exchange_take(struct exchange *exchange, int64_t due, bool *stopping)
{
    int64_t now = clock_monotonic_ms();
    struct commit *batch;

    pthread_mutex_lock(&exchange->lock);
    if (due > now)
        wait_until(exchange, due);
    batch = exchange->submitted.first;
    commit_list_clear(&exchange->submitted);
    *stopping = exchange->stopping;
    exchange->woken = false;
    pthread_mutex_unlock(&exchange->lock);
    return batch;
}

void
exchange_give(struct exchange *exchange, struct commit *commit)
{
    pthread_mutex_lock(&exchange->lock);
    commit_list_append(&exchange->finished, commit);
    pthread_mutex_unlock(&exchange->lock);
}

void
exchange_wake(struct exchange *exchange)
{
    pthread_mutex_lock(&exchange->lock);
    exchange->woken = true;
    pthread_mutex_unlock(&exchange->lock);
    pthread_cond_signal(&exchange->wake);
}

/* An eventfd's counter takes 2^64 - 2 of these before a write could fail. */
void
exchange_tell(struct exchange *exchange)
{
    const uint64_t one = 1;

    if (write(exchange->event, &one, sizeof(one)) != (ssize_t)sizeof(one) && errno != EAGAIN)
        log_error("wake the main thread: %s", strerror(errno));
}
