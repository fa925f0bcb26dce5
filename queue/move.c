#include <string.h>

#include "queue/sync.h"

void
queue_move_prepare(struct queue_move *move, struct queue_flush *flush)
{
    move->record_descriptor = -1;
    move->record_sync = FLUSH_NOTHING;
    move->record_name[0] = '\0';
    move->result = QUEUE_FAILED;
    memset(move->name, 0, sizeof(move->name));
    memset(&move->error, 0, sizeof(move->error));
    if (!mail_identity_is_valid(&move->identity)) {
        error_set(&move->error, "what is to be moved in %s is no mail", move->queue->path);
        return;
    }
    memcpy(move->name, move->identity.name, sizeof(move->name));
    if (!sync_trusts(move->queue, &move->error))
        return;
    if (move->queue->kind->move_prepare(move))
        move->result = QUEUE_MORE;
    if (move->record_descriptor >= 0)
        move->record_sync = flush_add_file(flush, move->queue, move->record_descriptor);
}

static bool
is_synced(struct queue_move *move, const struct queue_flush *flush)
{
    return move->record_sync == FLUSH_NOTHING ||
           flush_check(flush, move->record_sync, move->queue, &move->error);
}

void
queue_move_commit(struct queue_move *move, const struct queue_flush *flush)
{
    if (move->result != QUEUE_MORE)
        return;
    if (is_synced(move, flush) && sync_trusts(move->queue, &move->error)) {
        move->queue->kind->move_commit(move);
        return;
    }
    move->queue->kind->move_abandon(move);
    move->result = QUEUE_FAILED;
}
