#include <string.h>
#include <unistd.h>

#include "queue/sync.h"

/* Where the records are many, syncfs follows, and their descriptors would only be a crowd. */
static void
prepare(struct queue_move *move, bool many)
{
    move->record_descriptor = -1;
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
    if (many && move->record_descriptor >= 0) {
        close(move->record_descriptor);
        move->record_descriptor = -1;
    }
}

static void
abandon(struct queue_move *move)
{
    move->queue->kind->move_abandon(move);
    move->result = QUEUE_FAILED;
}

static void
sync_single(struct queue_move *move)
{
    if (move->record_descriptor < 0)
        return;
    if (!sync_file(move->queue, move->record_descriptor, &move->error))
        abandon(move);
    close(move->record_descriptor);
    move->record_descriptor = -1;
}

static bool
has_new_record(const struct queue_move *move)
{
    return move->result == QUEUE_MORE && move->record_name[0] != '\0';
}

/* Syncs the file system of MOVES[FIRST] unless one before it had the same. */
static void
sync_file_system_of(struct queue_move *moves[], size_t first, size_t count)
{
    uint64_t device = moves[first]->queue->device;
    struct error error;

    for (size_t i = 0; i < first; i++)
        if (moves[i]->queue->device == device && moves[i]->record_name[0] != '\0')
            return;
    if (sync_file_system(moves[first]->queue, &error))
        return;
    for (size_t i = first; i < count; i++)
        if (moves[i]->queue->device == device && has_new_record(moves[i])) {
            sync_distrust(moves[i]->queue, &error);
            moves[i]->error = error;
            abandon(moves[i]);
        }
}

static void
sync_records(struct queue_move *moves[], size_t count, bool many)
{
    for (size_t i = 0; i < count; i++) {
        if (!has_new_record(moves[i]))
            continue;
        if (many)
            sync_file_system_of(moves, i, count);
        else
            sync_single(moves[i]);
    }
}

static size_t
count_records(struct queue_move *moves[], size_t count)
{
    size_t records = 0;

    for (size_t i = 0; i < count; i++)
        records += moves[i]->target != MAIL_SENT;
    return records;
}

void
queue_move(struct queue_move *moves[], size_t count)
{
    bool many = count_records(moves, count) >= SYNC_GROUP;

    for (size_t i = 0; i < count; i++)
        prepare(moves[i], many);
    sync_records(moves, count, many);
    for (size_t i = 0; i < count; i++)
        if (moves[i]->result == QUEUE_MORE)
            moves[i]->queue->kind->move_commit(moves[i]);
}
