/*
 * All workers: whose place another account gets, and who gives back what it does not get on with.
 */
#ifndef SMAILER_QMGR_WORKERS_H
#define SMAILER_QMGR_WORKERS_H

#include "qmgr/worker.h"

void workers_open(void);

/* Workers of all accounts. */
uint32_t workers_count(void);

/* WORKER, which gets its number, is one of them from now on. */
void workers_add(struct worker *worker);
void workers_remove(struct worker *worker);

/* NULL where there is none. */
struct worker *workers_find(uint32_t number);

/* The one that is stopped when another account needs its place: idle, or of the account that has
 * the most, or, for one that has none, of the account whose turn was long enough. NULL where none
 * is to spare for an account that has OWN workers. */
struct worker *workers_find_spare(uint32_t own);

/* Mails that WORKER may be given beside those that it has, and those that are yet to be moved. */
uint32_t worker_free_places(const struct worker *worker);

/* Of ACCOUNT's workers that have no more than MOST in hand and take more, the one that has the
 * least; with a relay that is fast, that which has the most, for one that is at work already needs
 * nobody to wake it. NULL where there is none. */
struct worker *workers_find_free(const struct account *account, uint32_t most);

/* Stops those that were idle for longer than their account allows, or all that are. */
void workers_stop_idle(bool at_once);

/* Where programs of another queue want connections of an account, stops a worker of it: an idle
 * one, or one that has had its turn. */
void workers_share(void);

void workers_stop_all(void);

/* Tells the bases which of their mails stand at workers that do not get on. */
void workers_note_standing(void);

/* Asks those back that wait behind a job which does not get on. */
void workers_recall(void);

/* Calls VISIT for each worker. */
void workers_each(void (*visit)(struct worker *worker, void *context), void *context);

/* smtp itself ended: its workers end with it, and nobody tells how. */
void workers_smtp_left(void);

#endif
