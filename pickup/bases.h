/*
 * All bases, and what makes pickup look at them: inotify, and the clock.
 */
#ifndef SMAILER_PICKUP_BASES_H
#define SMAILER_PICKUP_BASES_H

#include <stdint.h>

#include "lib/channel.h"
#include "lib/message.h"
#include "pickup/base.h"

/* Before the sandbox is on. */
void bases_open(void);

/* Opens the queues and begins to look. */
void bases_start(void);

/* NULL beyond the last. */
struct base *bases_get(uint32_t number);

/* How PARSE says that a mail is of BASE, where that is an mqueue; 0 where it is none. */
uint32_t bases_mqueue(const struct base *base);

/* Plans the next time that something is to be done unasked. */
void bases_plan_wakeup(void);

void bases_handle_problem(struct channel *from, const struct message *message);

#endif
