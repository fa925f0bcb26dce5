#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "qmgr/exchange.h"

static void
list_clear(struct commit_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void
list_append(struct commit_list *list, struct commit *commit)
{
    commit->next = NULL;
    *list->end = commit;
    list->end = &commit->next;
}

/* Puts all of SOURCE behind what is in TARGET. */
static void
list_move(struct commit_list *target, struct commit_list *source)
{
    if (source->first == NULL)
        return;
    *target->end = source->first;
    target->end = source->end;
    list_clear(source);
}

static struct commit *
list_take(struct commit_list *list)
{
    struct commit *commit = list->first;

    if (commit == NULL)
        return NULL;
    list->first = commit->next;
    if (list->first == NULL)
        list->end = &list->first;
    commit->next = NULL;
    return commit;
}

bool
exchange_open(struct exchange *exchange, struct error *error)
{
    pthread_condattr_t attributes;

    list_clear(&exchange->outgoing);
    list_clear(&exchange->collected);
    list_clear(&exchange->submitted);
    list_clear(&exchange->finished);
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
    list_append(&exchange->outgoing, commit);
}

/* Signalled without the lock: who is woken would wait for it at once. */
void
exchange_hand_over(struct exchange *exchange)
{
    uint64_t count = 0;

    for (const struct commit *each = exchange->outgoing.first; each != NULL; each = each->next)
        count++;
    if (count == 0)
        return;
    pthread_mutex_lock(&exchange->lock);
    list_move(&exchange->submitted, &exchange->outgoing);
    exchange->unsynced += count;
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
    list_move(&exchange->collected, &exchange->finished);
    pthread_mutex_unlock(&exchange->lock);
}

struct commit *
exchange_collect(struct exchange *exchange)
{
    if (exchange->collected.first == NULL)
        collect(exchange);
    return list_take(&exchange->collected);
}

bool
exchange_is_synced(struct exchange *exchange)
{
    bool synced;

    pthread_mutex_lock(&exchange->lock);
    synced = exchange->unsynced == 0 && exchange->outgoing.first == NULL;
    pthread_mutex_unlock(&exchange->lock);
    return synced;
}

/* With the lock held. */
static void
wait_until(struct exchange *exchange, int64_t due)
{
    const struct timespec limit = {.tv_sec = due / 1000, .tv_nsec = due % 1000 * 1000000};
    int problem = 0;

    while (exchange->submitted.first == NULL && !exchange->stopping && problem != ETIMEDOUT)
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
    list_clear(&exchange->submitted);
    *stopping = exchange->stopping;
    pthread_mutex_unlock(&exchange->lock);
    return batch;
}

void
exchange_give(struct exchange *exchange, struct commit *commit)
{
    pthread_mutex_lock(&exchange->lock);
    list_append(&exchange->finished, commit);
    pthread_mutex_unlock(&exchange->lock);
}

/* An eventfd's counter takes 2^64 - 2 of these before a write could fail. */
void
exchange_tell(struct exchange *exchange)
{
    const uint64_t one = 1;

    if (write(exchange->event, &one, sizeof(one)) != (ssize_t)sizeof(one) && errno != EAGAIN)
        log_error("wake the main thread: %s", strerror(errno));
}

void
exchange_note_synced(struct exchange *exchange, uint64_t count)
{
    pthread_mutex_lock(&exchange->lock);
    exchange->unsynced -= count;
    pthread_mutex_unlock(&exchange->lock);
}
