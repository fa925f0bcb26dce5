/*
 * Claiming: which rows are this host's next, in fair turns over the senders.
 */
#ifndef SMAILER_SQL_CLAIM_H
#define SMAILER_SQL_CLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sql/array.h"
#include "sql/row.h"

void claim_open(void);

/* Claims more where there is need. To be called when anything has changed. */
void claim_pump(void);

/* There may be rows that were not there before. */
void claim_wake(void);

/* Some row's time comes in so many ms. */
void claim_expect(int64_t milliseconds);

/* The next claimed row, now the caller's; NULL where there is none. */
struct row *claim_next(void);

/* ROW comes first again. */
void claim_put_back(struct row *row);

/* A row of SENDER came back: no more are claimed until ACCOUNT is wanted. HELD: it has used up its
 * quota, and no run waits for that. */
void claim_park(const char *sender, uint32_t account, bool held);

/* Rows of ACCOUNT's senders may be claimed again. Returns how many had come back. */
uint32_t claim_want(uint32_t account);

/* All that came back for ACCOUNT is held now. */
void claim_hold(uint32_t account);

/* For a run: rows are also claimed whose time has not come, but those tried since SINCE (ms since
 * the epoch, by the database); 0: as usual. */
void claim_force(int64_t since);

/* Lets rows be claimed where nobody asked, or not. */
void claim_allow(bool allowed);

/* True where nothing is left to be claimed that is not in hand. */
bool claim_is_exhausted(void);

/* True while a claim is under way. */
bool claim_is_busy(void);

size_t claim_parked(void);
size_t claim_count(void);

/* Gives all rows back that were not offered; claims no more. */
void claim_stop(void);

/* Forgets the claimed rows, for the connection broke. */
void claim_forget(void);

void claim_add_keys(struct array *keys);

#endif
