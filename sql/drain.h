/*
 * The end: nothing new, and what is in hand goes back or is recorded.
 */
#ifndef SMAILER_SQL_DRAIN_H
#define SMAILER_SQL_DRAIN_H

#include <stdbool.h>

void drain_begin(void);
bool drain_has_begun(void);

/* Says so once nothing is in hand; to be called when anything has ended. */
void drain_check(void);

#endif
