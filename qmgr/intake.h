/*
 * What comes in: offers from pickup, verdicts from cleanup.
 */
#ifndef SMAILER_QMGR_INTAKE_H
#define SMAILER_QMGR_INTAKE_H

#include "lib/channel.h"
#include "lib/message.h"
#include "qmgr/job.h"

void intake_open(void);
void intake_handle_offer(struct channel *from, const struct message *message);
void intake_handle_unparked(struct channel *from, const struct message *message);
void intake_handle_verdict(struct channel *from, const struct message *message);

/* Which job a cleanup is at is to be read from that mark, whenever it dies. */
void intake_handle_at_work(struct channel *from, const struct message *message);

/* The verdict on that test mail, which came before control's word; NULL: it is yet to come. */
struct job *intake_take_trial(uint64_t number);

/* A cleanup ended; by its own fault, or not. */
void intake_handle_gone(struct channel *from, const struct message *message);

/* A cleanup's channel is empty and closed. */
void intake_cleanup_left(struct channel *channel);

#endif
