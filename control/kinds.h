/*
 * What can be asked, and what other programs say to it.
 */
#ifndef SMAILER_KINDS_H
#define SMAILER_KINDS_H

#include "control/request.h"

/* ASK_QUEUE: a line for each mail. */
extern const struct request_kind LISTING_KIND;
/* ASK_SEND: a run over the queues. */
extern const struct request_kind RUN_KIND;
/* ASK_TEST: a test mail, tried at once. */
extern const struct request_kind TRIAL_KIND;
/* ASK_STATUS: how everything is. */
extern const struct request_kind STATUS_KIND;
/* ASK_INIT: what smailer needs in a database. */
extern const struct request_kind INIT_KIND;

void listing_start(void);
void listing_found(struct channel *from, const struct message *message);
void listing_listed(struct channel *from, const struct message *message);
void listing_ended(struct channel *from, const struct message *message);
/* A cleanup process ended, for that reason: what it had in hand is shown without what only it could
 * say. */
void listing_lost(const char *reason);

/* The run of --once: everything that is due. */
void run_once(void);
void run_progressed(struct channel *from, const struct message *message);

/* CHANNEL leads to the cleanup process that test mails are given to, and grants no room yet. */
void trial_joined(struct channel *channel);
void trial_left(struct channel *channel);
/* That cleanup process ended, for that reason. */
void trial_lost(uint32_t instance, const char *reason);
void trial_room(struct channel *from, const struct message *message);
void trial_spoken(struct channel *from, const struct message *message);
void trial_tried(struct channel *from, const struct message *message);

void init_script(struct channel *from, const struct message *message);
void init_ended(struct channel *from, const struct message *message);

void status_line(struct channel *from, const struct message *message);
void status_ended(struct channel *from, const struct message *message);

#endif
