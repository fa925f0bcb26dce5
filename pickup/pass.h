/*
 * A pass over one of a base's directories: which of the names in it are candidates.
 */
#ifndef SMAILER_PICKUP_PASS_H
#define SMAILER_PICKUP_PASS_H

#include <stdbool.h>

#include "pickup/base.h"

/* When the next one over everything may begin, if one is wanted (ms, monotonic). */
int64_t pass_rests_until(const struct pass *pass);

/* True where a pass over PLACE has something to do at NOW (ms, monotonic). */
bool pass_is_due(const struct base *base, enum mail_state place);

/* Fills the base's chunk, which must be empty, with candidates of PLACE, the oldest first. False
 * where the pass is not due, or came to its end without finding one; true also where none was
 * found yet. */
bool pass_fill(struct base *base, enum mail_state place);

#endif
