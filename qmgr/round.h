/*
 * What is synced at once: the records of mails that are to be moved, which is done when that is
 * over, and directories. One round is under way at a time; the queues are used on meanwhile.
 */
#ifndef SMAILER_ROUND_H
#define SMAILER_ROUND_H

#include "qmgr/commit_list.h"
#include "qmgr/syncer.h"

#define ROUND_MOVES 512 /* so many at the most */

struct round {
    const struct retry_rules *rules;
    struct syncer syncer;
    struct commit_list waiting; /* for the next round */
    bool under_way;
    struct queue_flush flush;
    struct commit **commits; /* of the round, with their moves */
    struct queue_move *moves;
    size_t move_count;
    struct queue **queues; /* whose directories are in it; NULL: none are */
    size_t queue_count;
};

/* RULES must outlive it; TELL is called, by another thread, when round_end may be. */
bool round_open(struct round *round, const struct retry_rules *rules, void (*tell)(void *context),
    void *context, struct error *error);

/* None may be under way; it may never have been opened, all zero. */
void round_close(struct round *round);

/* Lets COMMIT, a move, wait for a round. */
void round_add(struct round *round, struct commit *commit);
bool round_has_waiting(const struct round *round);

/* Begins one with what waits, and with the directories that were touched of QUEUES, which become
 * the round's, or are NULL. They may not be closed before its end. */
void round_begin(struct round *round, struct queue **queues, size_t count);

/* True where one is under way and its disk is still at it. */
bool round_is_busy(struct round *round);

void round_wait(struct round *round);

/* Makes the moves, whose commits it puts into DONE, with their results. False where directories
 * were not synced. */
bool round_end(struct round *round, struct commit_list *done);

#endif
