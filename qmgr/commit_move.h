/*
 * Commits that move mails, as a group.
 */
#ifndef SMAILER_COMMIT_MOVE_H
#define SMAILER_COMMIT_MOVE_H

#include "qmgr/committer.h"

bool commit_is_move(const struct commit *commit);

/* What COMMIT, which must be a move, makes of RECORD, the mail's old one, and of the mail. */
enum mail_state commit_decide(const struct retry_rules *rules, const struct commit *commit,
    int64_t now, struct mail_record *record);

/* Prepares the moves of COUNT commits; MOVES is room for as many. */
void commit_move_begin(const struct retry_rules *rules, struct commit *commits[],
    struct queue_move moves[], size_t count, struct queue_flush *flush);

/* When FLUSH has run: makes them, and fills in the commits' results. */
void commit_move_end(struct commit *commits[], struct queue_move moves[], size_t count,
    const struct queue_flush *flush);

#endif
