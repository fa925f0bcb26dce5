/*
 * Rows that were claimed and not sent go back, many at a time.
 */
#ifndef SMAILER_SQL_RELEASE_H
#define SMAILER_SQL_RELEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "sql/row.h"

void release_open(void);

/* Gives ROW back, unless it was lost, and frees it; not to be claimed again for LATER ms. */
void release_row(struct row *row, int64_t later);

/* True while rows are on their way back. */
bool release_is_busy(void);

/* The connection broke: what is not in hand is given back once there is another. */
void release_forget(void);

#endif
