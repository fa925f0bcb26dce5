/*
 * What of an account's limits counts for all programs that have the same state directory: a master,
 * and those that are started beside it for another queue. The file qmgr/shared there has a record
 * an account, with its mails of the last minute and the end of its pause. Who holds what is said by
 * locks on that file, which the kernel takes off whoever dies: one a connection, one for the mail
 * under way where there is a pause, one for who wants a connection.
 *
 * Where the file cannot be used, which is logged, the limits count for these programs alone.
 */
#ifndef SMAILER_QMGR_SHARE_H
#define SMAILER_QMGR_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "qmgr/quota.h"

struct account;

/* No connection's place. */
#define SHARE_NONE UINT32_MAX

/* An account's part, all 0 at first. */
struct share {
    uint32_t record; /* its number in the file, from 1 on; 0: not known yet */
    bool wanting; /* a connection that others have */
    int64_t yields_until; /* ms, monotonic: what others want is not taken again before */
};

/* Before the sandbox: opens the file. */
void share_prepare(void);

/* A place for one more connection; SHARE_NONE where others have them all. */
uint32_t share_take_connection(struct account *account);
void share_release_connection(struct account *account, uint32_t place);

/* Lets the others know whether ACCOUNT wants a connection that they have. */
void share_want(struct account *account, bool wants);

/* True where others want one that this process has. */
bool share_is_wanted(struct account *account);

/* Brings what the account has begun up to what all have. */
void share_look(struct account *account);

/* A mail begins, and MOMENT says when: false where there was no room for it any more and it is not
 * FORCED. */
bool share_begin(struct account *account, bool forced, struct quota_moment *moment);

/* It ended; see quota_end(). */
void share_end(struct account *account, struct quota_moment moment, bool handed_over);

#endif
