/*
 * The scheduler: which mail goes to which worker, and which waits at pickup instead.
 */
#ifndef SMAILER_QMGR_SCHEDULE_H
#define SMAILER_QMGR_SCHEDULE_H

#include "qmgr/account.h"
#include "qmgr/finish.h"
#include "qmgr/job.h"

void schedule_open(void);

/* Looks at everything once the events at hand were handled. */
void schedule_soon(void);

/* A job is whole (offered and judged): what is to become of it? */
void schedule_job(struct job *job);

/* The relay refused a connection of the account's, or ended one, which does not count any more.
 * False where no other is up, or may come to be. */
bool schedule_refused(struct account *account);

/* The account's relay could not be reached, or refused the login. */
void schedule_connection_failed(struct account *account, const struct attempt *attempt);

/* A run wants the mails of SENDER ("": of all) tried now; with FORCE also those whose time has not
 * come, and relays that are down are probed. */
void schedule_begin_run(uint32_t run, bool force, const char *sender);

/* Takes nothing new; says so when nothing is in hand. */
void schedule_drain(void);

#endif
