#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/thread.h"
#include "qmgr/commit_job.h"
#include "qmgr/commit_move.h"
#include "qmgr/exchange.h"
#include "qmgr/round.h"
#include "qmgr/upkeep.h"

#define SYNC_AGAIN 1000 /* ms until a sync that failed is tried again */
#define NEVER EXCHANGE_NEVER

#define PATIENCE 5000 /* ms that sent mails are moved for while a sync is under way */
#define GROUP_MOVES 256 /* so many are made together, at the most */

struct committer {
    struct committer_options options;
    pthread_t thread;
    struct exchange exchange;

    /* The thread's own. */
    struct upkeep **upkeeps; /* of each open queue */
    size_t upkeep_count;
    size_t turn; /* whose slice is next */
    struct commit **group; /* moves that nothing has to be written for */
    struct queue_move *moves; /* theirs */
    size_t group_size;
    struct round round; /* and those that are not made before it is synced */
    int64_t round_began;
    int64_t sync_due; /* of the directories; NEVER: nothing to sync */
};

/* --- rounds --- */

static bool
any_needs_sync(const struct committer *committer)
{
    for (size_t i = 0; i < committer->upkeep_count; i++)
        if (queue_needs_sync(upkeep_queue(committer->upkeeps[i])))
            return true;
    return false;
}

static struct queue **
find_touched(struct committer *committer, size_t *count)
{
    struct queue **queues = memory_new(committer->upkeep_count + 1, sizeof(struct queue *));

    *count = 0;
    for (size_t i = 0; i < committer->upkeep_count; i++)
        if (queue_needs_sync(upkeep_queue(committer->upkeeps[i])))
            queues[(*count)++] = upkeep_queue(committer->upkeeps[i]);
    return queues;
}

static void
begin_round(struct committer *committer, bool with_directories)
{
    struct queue **queues = NULL;
    size_t count = 0;

    if (with_directories) {
        queues = find_touched(committer, &count);
        committer->sync_due = NEVER;
    }
    committer->round_began = clock_monotonic_ms();
    round_begin(&committer->round, queues, count);
}

static void
end_round(struct committer *committer)
{
    struct commit_list done;
    struct commit *commit;

    commit_list_clear(&done);
    if (!round_end(&committer->round, &done))
        committer->sync_due = clock_monotonic_ms() + SYNC_AGAIN;
    while ((commit = commit_list_take(&done)) != NULL)
        exchange_give(&committer->exchange, commit);
    exchange_tell(&committer->exchange);
}

static void
wait_for_round(struct committer *committer)
{
    if (!committer->round.under_way)
        return;
    round_wait(&committer->round);
    end_round(committer);
}

/* All moves are made, and all is synced: what the last of them touched, too. */
static void
finish_rounds(struct committer *committer)
{
    wait_for_round(committer);
    while (round_has_waiting(&committer->round)) {
        begin_round(committer, false);
        wait_for_round(committer);
    }
    begin_round(committer, true);
    wait_for_round(committer);
}

static void
plan_sync(struct committer *committer)
{
    if (committer->sync_due == NEVER && any_needs_sync(committer))
        committer->sync_due = clock_monotonic_ms() + committer->options.commit_interval;
}

static void
run_round(struct committer *committer)
{
    bool due;

    if (committer->round.under_way && !round_is_busy(&committer->round))
        end_round(committer);
    plan_sync(committer);
    due = committer->sync_due <= clock_monotonic_ms();
    if (!committer->round.under_way && (due || round_has_waiting(&committer->round)))
        begin_round(committer, due);
}

/* --- commits --- */

/* What is moved while a sync does not end is sent twice after a power cut: so much of it, and not
 * more. */
static void
finish_group(struct committer *committer)
{
    struct queue_flush nothing = {0};
    size_t size = committer->group_size;

    if (size == 0)
        return;
    if (committer->round.under_way && clock_monotonic_ms() - committer->round_began >= PATIENCE)
        wait_for_round(committer);
    commit_move_begin(
        &committer->options.retry, committer->group, committer->moves, size, &nothing);
    commit_move_end(committer->group, committer->moves, size, &nothing);
    for (size_t i = 0; i < size; i++)
        exchange_give(&committer->exchange, committer->group[i]);
    committer->group_size = 0;
    exchange_tell(&committer->exchange);
}

static void
add_move(struct committer *committer, struct commit *commit)
{
    if (commit->kind != COMMIT_SENT) {
        round_add(&committer->round, commit);
        return;
    }
    committer->group[committer->group_size++] = commit;
    if (committer->group_size == GROUP_MOVES)
        finish_group(committer);
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
run_slice(struct committer *committer, struct upkeep *upkeep)
{
    struct commit *done = upkeep_slice(upkeep, clock_monotonic_ms());

    if (done == NULL)
        return;
    exchange_give(&committer->exchange, done);
    exchange_tell(&committer->exchange);
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
    exchange_give(&committer->exchange, commit);
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
    exchange_give(&committer->exchange, commit);
}

static void
close_upkeep(struct committer *committer, struct upkeep **upkeep)
{
    while (upkeep_has_splits(*upkeep))
        run_slice(committer, *upkeep);
    finish_rounds(committer);
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
    exchange_give(&committer->exchange, commit);
}

static void
run_job(struct committer *committer, struct commit *commit)
{
    commit_job_run(commit);
    exchange_give(&committer->exchange, commit);
}

static void
run_submit(struct committer *committer, struct commit *commit)
{
    bool done = find_upkeep(committer, commit->queue) != NULL
                    ? mqueue_submit(commit->queue, commit->submission, clock_now_ms(), commit->name,
                          &commit->error)
                    : error_set(&commit->error, "the queue is not open");

    commit->result = done ? QUEUE_DONE : QUEUE_FAILED;
    exchange_give(&committer->exchange, commit);
}

static void (*const RUN[COMMIT_KINDS])(struct committer *, struct commit *) = {
    [COMMIT_SPLIT] = run_split,
    [COMMIT_TAKE] = run_job,
    [COMMIT_RELEASE] = run_job,
    [COMMIT_HOLD] = run_job,
    [COMMIT_NOTICE] = run_job,
    [COMMIT_SUBMIT] = run_submit,
    [COMMIT_OPEN] = run_open,
    [COMMIT_CLOSE] = run_close,
};

/* Runs BATCH, a chain of commits, in order, but for moves that wait for a round. */
static void
run_batch(struct committer *committer, struct commit *batch)
{
    struct commit *next;

    for (struct commit *commit = batch; commit != NULL; commit = next) {
        next = commit->next;
        memset(&commit->error, 0, sizeof(commit->error));
        if (commit_is_move(commit) && commit->job == NULL) {
            add_move(committer, commit);
            continue;
        }
        finish_group(committer);
        (commit->job != NULL ? run_job : RUN[commit->kind])(committer, commit);
        exchange_tell(&committer->exchange);
    }
    finish_group(committer);
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
    int64_t due = committer->round.under_way ? NEVER : committer->sync_due;

    for (size_t i = 0; i < committer->upkeep_count; i++) {
        int64_t slice = upkeep_due(committer->upkeeps[i], now);

        due = slice < due ? slice : due;
    }
    return due;
}

static void *
run(void *argument)
{
    struct committer *committer = argument;
    bool stopping = false;

    while (!stopping) {
        int64_t due = next_due(committer, clock_monotonic_ms());

        run_batch(committer, exchange_take(&committer->exchange, due, &stopping));
        run_round(committer);
        if (!stopping)
            run_next_slice(committer);
        plan_sync(committer);
    }
    finish_rounds(committer);
    while (committer->upkeep_count > 0)
        close_upkeep(committer, &committer->upkeeps[0]);
    return NULL;
}

static void
tell(void *context)
{
    exchange_wake(context);
}

struct committer *
committer_start(const struct committer_options *options, struct error *error)
{
    struct committer *committer = memory_new(1, sizeof(*committer));

    committer->options = *options;
    committer->group = memory_new(GROUP_MOVES, sizeof(struct commit *));
    committer->moves = memory_new(GROUP_MOVES, sizeof(*committer->moves));
    committer->sync_due = NEVER;
    if (exchange_open(&committer->exchange, error) &&
        round_open(
            &committer->round, &committer->options.retry, tell, &committer->exchange, error) &&
        thread_start(&committer->thread, run, committer, "the committer's", error))
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
    round_close(&committer->round);
    exchange_close(&committer->exchange);
    free(committer->upkeeps);
    free(committer->group);
    free(committer->moves);
    free(committer);
}
