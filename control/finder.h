/*
 * The programs that find mails: pickup, and one smailer-sql for each table. What concerns the
 * queues is asked of each.
 */
#ifndef SMAILER_FINDER_H
#define SMAILER_FINDER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/channel.h"

/* How many there are; they have the numbers below that, pickup 0. */
uint32_t finder_count(void);

/* NULL where it is not there now. */
struct channel *finder_channel(uint32_t finder);

/* The number of the one at the other end of CHANNEL. */
uint32_t finder_of(const struct channel *channel);

/* True where all are there. */
bool finder_all_are_there(void);

/* Sends MESSAGE to each. */
void finder_send_all(const struct message *message);

#endif
