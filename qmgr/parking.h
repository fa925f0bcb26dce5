/*
 * Mails that wait at their finder instead of here: those behind others that do not move, and those
 * over a quota.
 */
#ifndef SMAILER_QMGR_PARKING_H
#define SMAILER_QMGR_PARKING_H

#include "qmgr/account.h"
#include "qmgr/base.h"
#include "qmgr/job.h"

/* JOB, whose lane is known, waits at its finder. HELD: for a quota, so that no run waits for it. */
void parking_park(struct job *job, bool held);

/* True where the quota of ACCOUNT has no room for one more mail than are queued. */
bool parking_holds(struct account *account);

/* True where there are enough before it that do not move. */
bool parking_is_full(struct lane *lane);

/* So many of BASE's mails are not parked for that account any more: they come, or are gone. */
void parking_note_unparked(struct base *base, uint32_t account_number, uint32_t count);

/* Asks finders for parked mails where lanes run short, as far as quotas have room. */
void parking_refill(void);

/* Parks what does not move. */
void parking_shorten(void);

#endif
