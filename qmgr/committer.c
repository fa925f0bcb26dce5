#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "qmgr/commit_job.h"
#include "qmgr/commit_move.h"
#include "qmgr/upkeep.h"

#define SYNC_AGAIN 1000 /* ms until a sync that failed is tried again */
#define NEVER INT64_MAX

struct commit_list {
    struct commit *first;
    struct commit **end;
};

/* Moves that are made together. */
struct group {
    struct commit *commits[COMMIT_GROUP];
    size_t size;
};

struct committer {
    struct committer_options options;
    pthread_t thread;
    int event;
    struct commit_list collected; /* the main thread's: finished ones that it did not take yet */

    pthread_mutex_t lock; /* of what follows, up to the blank line */
    pthread_cond_t wake;
    struct commit_list submitted;
    struct commit_list finished;
    bool stopping;
    uint64_t unsynced; /* commits submitted that are not done and synced */

    /* The thread's own. */
    struct upkeep **upkeeps; /* of each open queue */
    size_t upkeep_count;
    size_t turn; /* whose slice is next */
    struct queue_move *moves;
    struct group sent; /* moves that nothing has to be written for */
    struct group recorded;
    uint64_t done; /* commits done since the last sync */
    int64_t sync_due; /* NEVER: nothing to sync */
};

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

/* An eventfd's counter takes 2^64 - 2 of these before a write could fail. */
static void
notify(struct committer *committer)
{
    const uint64_t one = 1;

    if (write(committer->event, &one, sizeof(one)) != (ssize_t)sizeof(one) && errno != EAGAIN)
        log_error("wake the main thread: %s", strerror(errno));
}

static void
finish(struct committer *committer, struct commit *commit)
{
    committer->done++;
    pthread_mutex_lock(&committer->lock);
    list_append(&committer->finished, commit);
    pthread_mutex_unlock(&committer->lock);
}

static void
finish_group(struct committer *committer, struct group *group)
{
    if (group->size == 0)
        return;
    commit_move(&committer->options.retry, group->commits, committer->moves, group->size);
    for (size_t i = 0; i < group->size; i++)
        finish(committer, group->commits[i]);
    group->size = 0;
    notify(committer);
}

/* First those that no sync is to be waited for: deferring many mails of one account is not to hold
 * up the places of another's workers. */
static void
finish_groups(struct committer *committer)
{
    finish_group(committer, &committer->sent);
    finish_group(committer, &committer->recorded);
}

static void
add_to_group(struct committer *committer, struct commit *commit)
{
    struct group *group = commit->kind == COMMIT_SENT ? &committer->sent : &committer->recorded;

    group->commits[group->size++] = commit;
    if (group->size == COMMIT_GROUP)
        finish_groups(committer);
}

static struct upkeep **
find_upkeep(struct committer *committer, const struct queue *queue)
{
    for (size_t i = 0; i < committer->upkeep_count; i++)
        if (upkeep_queue(committer->upkeeps[i]) == queue)
            return &committer->upkeeps[i];
    return NULL;
}

static void
sync_touched(struct committer *committer)
{
    struct queue **queues = memory_new(committer->upkeep_count + 1, sizeof(struct queue *));
    size_t count = 0;
    bool synced = true;

    for (size_t i = 0; i < committer->upkeep_count; i++)
        if (queue_needs_sync(upkeep_queue(committer->upkeeps[i])))
            queues[count++] = upkeep_queue(committer->upkeeps[i]);
    if (count > 0)
        synced = queue_sync(queues, count, NULL);
    free(queues);
    committer->sync_due = synced ? NEVER : clock_monotonic_ms() + SYNC_AGAIN;
    if (!synced)
        return;
    pthread_mutex_lock(&committer->lock);
    committer->unsynced -= committer->done;
    pthread_mutex_unlock(&committer->lock);
    committer->done = 0;
    notify(committer);
}

static void
run_slice(struct committer *committer, struct upkeep *upkeep)
{
    struct commit *done = upkeep_slice(upkeep, clock_monotonic_ms());

    if (done != NULL) {
        finish(committer, done);
        notify(committer);
    }
}

static void
run_nothing(struct committer *committer, struct commit *commit)
{
    commit->result = QUEUE_DONE;
    finish(committer, commit);
}

static void
run_split(struct committer *committer, struct commit *commit)
{
    struct upkeep **upkeep = find_upkeep(committer, commit->queue);

    if (upkeep != NULL) {
        upkeep_add_split(*upkeep, commit);
        return;
    }
    commit->result = QUEUE_FAILED;
    error_set(&commit->error, "the queue is not open");
    finish(committer, commit);
}

static void
run_open(struct committer *committer, struct commit *commit)
{
    commit->queue = queue_open(commit->kind_of_queue, commit->options, &commit->error);
    commit->result = commit->queue != NULL ? QUEUE_DONE : QUEUE_FAILED;
    if (commit->queue != NULL) {
        committer->upkeeps =
            memory_resize(committer->upkeeps, committer->upkeep_count + 1, sizeof(struct upkeep *));
        committer->upkeeps[committer->upkeep_count++] =
            upkeep_new(commit->queue, &committer->options);
    }
    finish(committer, commit);
}

static void
close_upkeep(struct committer *committer, struct upkeep **upkeep)
{
    while (upkeep_has_splits(*upkeep))
        run_slice(committer, *upkeep);
    sync_touched(committer);
    upkeep_free(*upkeep);
    *upkeep = committer->upkeeps[--committer->upkeep_count];
}

static void
run_close(struct committer *committer, struct commit *commit)
{
    struct upkeep **upkeep = find_upkeep(committer, commit->queue);

    commit->result = upkeep != NULL ? QUEUE_DONE : QUEUE_FAILED;
    if (upkeep != NULL)
        close_upkeep(committer, upkeep);
    finish(committer, commit);
}

static void
run_job(struct committer *committer, struct commit *commit)
{
    commit_job_run(commit);
    finish(committer, commit);
}

static void
run_submit(struct committer *committer, struct commit *commit)
{
    bool done = find_upkeep(committer, commit->queue) != NULL
                    ? mqueue_submit(commit->queue, commit->submission, clock_now_ms(), commit->name,
                          &commit->error)
                    : error_set(&commit->error, "the queue is not open");

    commit->result = done ? QUEUE_DONE : QUEUE_FAILED;
    finish(committer, commit);
}

static void (*const RUN[COMMIT_KINDS])(struct committer *, struct commit *) = {
    [COMMIT_NOTHING] = run_nothing,
    [COMMIT_SPLIT] = run_split,
    [COMMIT_TAKE] = run_job,
    [COMMIT_RELEASE] = run_job,
    [COMMIT_HOLD] = run_job,
    [COMMIT_NOTICE] = run_job,
    [COMMIT_SUBMIT] = run_submit,
    [COMMIT_OPEN] = run_open,
    [COMMIT_CLOSE] = run_close,
};

static bool
any_needs_sync(const struct committer *committer)
{
    for (size_t i = 0; i < committer->upkeep_count; i++)
        if (queue_needs_sync(upkeep_queue(committer->upkeeps[i])))
            return true;
    return false;
}

/* Runs BATCH, a chain of commits, in order, moves that follow each other as groups. */
static void
run_batch(struct committer *committer, struct commit *batch)
{
    struct commit *next;

    for (struct commit *commit = batch; commit != NULL; commit = next) {
        next = commit->next;
        memset(&commit->error, 0, sizeof(commit->error));
        if (commit_is_move(commit) && commit->job == NULL) {
            add_to_group(committer, commit);
            continue;
        }
        finish_groups(committer);
        (commit->job != NULL ? run_job : RUN[commit->kind])(committer, commit);
        notify(committer);
    }
    finish_groups(committer);
}

static void
run_next_slice(struct committer *committer)
{
    int64_t now = clock_monotonic_ms();

    for (size_t i = 0; i < committer->upkeep_count; i++) {
        struct upkeep *upkeep = committer->upkeeps[committer->turn++ % committer->upkeep_count];

        if (upkeep_due(upkeep, now) <= now) {
            run_slice(committer, upkeep);
            return;
        }
    }
}

static int64_t
next_due(const struct committer *committer, int64_t now)
{
    int64_t due = committer->sync_due;

    for (size_t i = 0; i < committer->upkeep_count; i++) {
        int64_t slice = upkeep_due(committer->upkeeps[i], now);

        due = slice < due ? slice : due;
    }
    return due;
}

/* Waits, with the lock held, until something was submitted, it is time for DUE, or the end. */
static void
wait_until(struct committer *committer, int64_t due)
{
    const struct timespec limit = {.tv_sec = due / 1000, .tv_nsec = due % 1000 * 1000000};
    int problem = 0;

    while (committer->submitted.first == NULL && !committer->stopping && problem != ETIMEDOUT)
        problem = due == NEVER ? pthread_cond_wait(&committer->wake, &committer->lock)
                               : pthread_cond_timedwait(&committer->wake, &committer->lock, &limit);
}

/* Takes all that was submitted; *STOPPING: there will be no more. */
static struct commit *
take_batch(struct committer *committer, bool *stopping)
{
    int64_t now = clock_monotonic_ms();
    int64_t due = next_due(committer, now);
    struct commit *batch;

    pthread_mutex_lock(&committer->lock);
    if (due > now)
        wait_until(committer, due);
    batch = committer->submitted.first;
    list_clear(&committer->submitted);
    *stopping = committer->stopping;
    pthread_mutex_unlock(&committer->lock);
    return batch;
}

static void
schedule_sync(struct committer *committer)
{
    int64_t now = clock_monotonic_ms();

    if (committer->sync_due == NEVER && (committer->done > 0 || any_needs_sync(committer)))
        committer->sync_due = now + committer->options.commit_interval;
    if (committer->sync_due <= now)
        sync_touched(committer);
}

static void *
run(void *argument)
{
    struct committer *committer = argument;
    bool stopping = false;

    while (!stopping) {
        run_batch(committer, take_batch(committer, &stopping));
        schedule_sync(committer);
        if (!stopping)
            run_next_slice(committer);
    }
    while (committer->upkeep_count > 0)
        close_upkeep(committer, &committer->upkeeps[0]);
    sync_touched(committer);
    return NULL;
}

/* Signals are the main thread's. */
static int
start_thread(struct committer *committer)
{
    sigset_t all;
    sigset_t before;
    int problem;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    problem = pthread_create(&committer->thread, NULL, run, committer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return problem;
}

static void
make_wake(struct committer *committer)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&committer->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&committer->lock, NULL);
}

struct committer *
committer_start(const struct committer_options *options, struct error *error)
{
    struct committer *committer = memory_new(1, sizeof(*committer));
    int problem;

    committer->options = *options;
    committer->moves = memory_new(COMMIT_GROUP, sizeof(*committer->moves));
    committer->sync_due = NEVER;
    list_clear(&committer->submitted);
    list_clear(&committer->finished);
    list_clear(&committer->collected);
    make_wake(committer);
    committer->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    problem = committer->event < 0 ? errno : start_thread(committer);
    if (problem == 0)
        return committer;
    errno = problem;
    error_errno(error, "start the committer's thread");
    committer_free(committer);
    return NULL;
}

int
committer_descriptor(const struct committer *committer)
{
    return committer->event;
}

void
committer_submit(struct committer *committer, struct commit *commit)
{
    pthread_mutex_lock(&committer->lock);
    list_append(&committer->submitted, commit);
    committer->unsynced++;
    pthread_cond_signal(&committer->wake);
    pthread_mutex_unlock(&committer->lock);
}

static void
list_move(struct commit_list *target, struct commit_list *source)
{
    *target = *source;
    if (target->first == NULL)
        target->end = &target->first;
    list_clear(source);
}

/* Takes over all that is finished. */
static void
collect(struct committer *committer)
{
    uint64_t count;

    /* Before the list is looked at, so that nothing that comes after goes unnoticed. */
    if (read(committer->event, &count, sizeof(count)) < 0 && errno != EAGAIN && errno != EINTR)
        log_error("hear the committer: %s", strerror(errno));
    pthread_mutex_lock(&committer->lock);
    list_move(&committer->collected, &committer->finished);
    pthread_mutex_unlock(&committer->lock);
}

struct commit *
committer_collect(struct committer *committer)
{
    if (committer->collected.first == NULL)
        collect(committer);
    return list_take(&committer->collected);
}

bool
committer_is_synced(struct committer *committer)
{
    bool synced;

    pthread_mutex_lock(&committer->lock);
    synced = committer->unsynced == 0;
    pthread_mutex_unlock(&committer->lock);
    return synced;
}

void
committer_stop(struct committer *committer)
{
    pthread_mutex_lock(&committer->lock);
    committer->stopping = true;
    pthread_cond_signal(&committer->wake);
    pthread_mutex_unlock(&committer->lock);
    pthread_join(committer->thread, NULL);
}

void
committer_free(struct committer *committer)
{
    if (committer == NULL)
        return;
    if (committer->event >= 0)
        close(committer->event);
    pthread_cond_destroy(&committer->wake);
    pthread_mutex_destroy(&committer->lock);
    free(committer->upkeeps);
    free(committer->moves);
    free(committer);
}
