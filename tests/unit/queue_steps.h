/*
 * Moves and syncs of a queue with all their steps at once.
 */
#ifndef SMAILER_TESTS_QUEUE_STEPS_H
#define SMAILER_TESTS_QUEUE_STEPS_H

#include "queue/queue.h"

static inline void
fixture_make(struct queue_move *moves[], size_t count)
{
    struct queue_flush flush = {0};

    for (size_t i = 0; i < count; i++)
        queue_move_prepare(moves[i], &flush);
    queue_flush_run(&flush);
    for (size_t i = 0; i < count; i++)
        queue_move_commit(moves[i], &flush);
    queue_flush_clear(&flush);
}

static inline bool
fixture_sync(struct queue *queue, struct error *error)
{
    struct queue_flush flush = {0};
    bool done;

    queue_sync_begin(&queue, 1, &flush);
    queue_flush_run(&flush);
    done = queue_sync_end(&queue, 1, &flush, error);
    queue_flush_clear(&flush);
    return done;
}

#endif
