#include <string.h>

#include "lib/clock.h"
#include "qmgr/commit_move.h"

static enum mail_state
decide_sent(const struct retry_rules *rules, const struct retry_event *event, enum mail_state place,
    struct mail_record *record)
{
    (void)rules;
    (void)event;
    (void)place;
    record->attempts++;
    return MAIL_SENT;
}

static enum mail_state
decide_defer(const struct retry_rules *rules, const struct retry_event *event,
    enum mail_state place, struct mail_record *record)
{
    (void)place;
    return retry_defer(rules, event, record);
}

static enum mail_state
decide_drop(const struct retry_rules *rules, const struct retry_event *event, enum mail_state place,
    struct mail_record *record)
{
    (void)place;
    return retry_drop(rules, event, record);
}

static enum mail_state (*const DECISIONS[COMMIT_KINDS])(const struct retry_rules *,
    const struct retry_event *, enum mail_state, struct mail_record *) = {
    [COMMIT_SENT] = decide_sent,
    [COMMIT_DEFER] = decide_defer,
    [COMMIT_DROP] = decide_drop,
    [COMMIT_STRIKE] = retry_strike,
};

bool
commit_is_move(const struct commit *commit)
{
    return DECISIONS[commit->kind] != NULL;
}

enum mail_state
commit_decide(const struct retry_rules *rules, const struct commit *commit, int64_t now,
    struct mail_record *record)
{
    const struct retry_event event = {
        .now = now,
        .id = commit->id,
        .stage = commit->stage,
        .code = commit->code,
        .reason = commit->reason,
    };

    return DECISIONS[commit->kind](rules, &event, commit->identity.place, record);
}

static void
begin(const struct retry_rules *rules, const struct commit *commit, int64_t now,
    struct queue_move *move)
{
    memset(move, 0, sizeof(*move));
    move->queue = commit->queue;
    move->identity = commit->identity;
    queue_mail_record(move->queue, &move->identity, now, &move->record);
    move->target = commit_decide(rules, commit, now, &move->record);
}

static void
end(struct commit *commit, const struct queue_move *move)
{
    commit->result = move->result;
    commit->error = move->error;
    commit->outcome = move->result == QUEUE_DONE ? move->target : move->identity.place;
    commit->attempts = move->record.attempts;
    commit->strikes = move->record.strikes;
    commit->next_try = move->record.next_try;
    memcpy(commit->name, move->name, sizeof(commit->name));
}

void
commit_move_begin(const struct retry_rules *rules, struct commit *commits[],
    struct queue_move moves[], size_t count, struct queue_flush *flush)
{
    int64_t now = clock_now_ms();

    for (size_t i = 0; i < count; i++) {
        begin(rules, commits[i], now, &moves[i]);
        queue_move_prepare(&moves[i], flush);
    }
}

void
commit_move_end(struct commit *commits[], struct queue_move moves[], size_t count,
    const struct queue_flush *flush)
{
    for (size_t i = 0; i < count; i++) {
        queue_move_commit(&moves[i], flush);
        end(commits[i], &moves[i]);
    }
}
