/*
 * Commits that move mails, as a group.
 */
#ifndef SMAILER_COMMIT_MOVE_H
#define SMAILER_COMMIT_MOVE_H

#include "qmgr/committer.h"

#define COMMIT_GROUP 256 /* so many at the most: a group is what a slow disk delays at once */

bool commit_is_move(const struct commit *commit);

/* What COMMIT, which must be a move, makes of RECORD, the mail's old one, and of the mail. */
enum mail_state commit_decide(const struct retry_rules *rules, const struct commit *commit,
    int64_t now, struct mail_record *record);

/* Makes the moves of COUNT commits (up to COMMIT_GROUP) and fills in their results. MOVES is room
 * for as many. */
void commit_move(const struct retry_rules *rules, struct commit *commits[],
    struct queue_move moves[], size_t count);

#endif
