#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "qmgr/commit_job.h"
#include "qmgr/commit_move.h"
#include "qmgr/exchange.h"
#include "qmgr/upkeep.h"

#define SYNC_AGAIN 1000 /* ms until a sync that failed is tried again */
#define NEVER EXCHANGE_NEVER

/* Moves that are made together. */
struct group {
    struct commit *commits[COMMIT_GROUP];
    size_t size;
};

struct committer {
    struct committer_options options;
    pthread_t thread;
    struct exchange exchange;

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
finish(struct committer *committer, struct commit *commit)
{
    committer->done++;
    exchange_give(&committer->exchange, commit);
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
    exchange_tell(&committer->exchange);
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
    exchange_note_synced(&committer->exchange, committer->done);
    committer->done = 0;
    exchange_tell(&committer->exchange);
}

static void
run_slice(struct committer *committer, struct upkeep *upkeep)
{
    struct commit *done = upkeep_slice(upkeep, clock_monotonic_ms());

    if (done == NULL)
        return;
    committer->done += done->kind != COMMIT_SWEPT; /* which nobody submitted */
    exchange_give(&committer->exchange, done);
    exchange_tell(&committer->exchange);
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
        exchange_tell(&committer->exchange);
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
        int64_t due = next_due(committer, clock_monotonic_ms());

        run_batch(committer, exchange_take(&committer->exchange, due, &stopping));
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

struct committer *
committer_start(const struct committer_options *options, struct error *error)
{
    struct committer *committer = memory_new(1, sizeof(*committer));
    bool started = false;

    committer->options = *options;
    committer->moves = memory_new(COMMIT_GROUP, sizeof(*committer->moves));
    committer->sync_due = NEVER;
    if (exchange_open(&committer->exchange, error)) {
        errno = start_thread(committer);
        started = errno == 0 || error_errno(error, "start the committer's thread");
    }
    if (started)
        return committer;
    committer_free(committer);
    return NULL;
}

int
committer_descriptor(const struct committer *committer)
{
    return committer->exchange.event;
}

void
committer_submit(struct committer *committer, struct commit *commit)
{
    exchange_add(&committer->exchange, commit);
}

void
committer_begin(struct committer *committer)
{
    exchange_hand_over(&committer->exchange);
}

struct commit *
committer_collect(struct committer *committer)
{
    return exchange_collect(&committer->exchange);
}

bool
committer_is_synced(struct committer *committer)
{
    return exchange_is_synced(&committer->exchange);
}

void
committer_stop(struct committer *committer)
{
    exchange_stop(&committer->exchange);
    pthread_join(committer->thread, NULL);
}

void
committer_free(struct committer *committer)
{
    if (committer == NULL)
        return;
    exchange_close(&committer->exchange);
    free(committer->upkeeps);
    free(committer->moves);
    free(committer);
}
