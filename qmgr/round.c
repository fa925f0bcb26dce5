#include <stdlib.h>

#include "lib/memory.h"
#include "qmgr/commit_move.h"
#include "qmgr/round.h"

bool
round_open(struct round *round, const struct retry_rules *rules, void (*tell)(void *context),
    void *context, struct error *error)
{
    round->rules = rules;
    commit_list_clear(&round->waiting);
    round->commits = memory_new(ROUND_MOVES, sizeof(struct commit *));
    round->moves = memory_new(ROUND_MOVES, sizeof(*round->moves));
    return syncer_start(&round->syncer, tell, context, error);
}

void
round_close(struct round *round)
{
    if (round->commits == NULL)
        return;
    syncer_stop(&round->syncer);
    free(round->commits);
    free(round->moves);
}

void
round_add(struct round *round, struct commit *commit)
{
    commit_list_append(&round->waiting, commit);
}

bool
round_has_waiting(const struct round *round)
{
    return round->waiting.first != NULL;
}

void
round_begin(struct round *round, struct queue **queues, size_t count)
{
    size_t moves = 0;

    while (moves < ROUND_MOVES && round_has_waiting(round))
        round->commits[moves++] = commit_list_take(&round->waiting);
    round->move_count = moves;
    round->queues = queues;
    round->queue_count = count;
    round->under_way = true;
    commit_move_begin(round->rules, round->commits, round->moves, moves, &round->flush);
    queue_sync_begin(queues, count, &round->flush);
    syncer_run(&round->syncer, &round->flush);
}

bool
round_is_busy(struct round *round)
{
    return round->under_way && syncer_is_busy(&round->syncer);
}

void
round_wait(struct round *round)
{
    syncer_wait(&round->syncer);
}

bool
round_end(struct round *round, struct commit_list *done)
{
    bool synced = queue_sync_end(round->queues, round->queue_count, &round->flush, NULL);

    commit_move_end(round->commits, round->moves, round->move_count, &round->flush);
    for (size_t i = 0; i < round->move_count; i++)
        commit_list_append(done, round->commits[i]);
    queue_flush_clear(&round->flush);
    free(round->queues);
    round->queues = NULL;
    round->queue_count = 0;
    round->under_way = false;
    return synced;
}
