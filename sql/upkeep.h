/*
 * What is done from time to time: looking for rows unasked, taking over what dead hosts had, and
 * retention.
 */
#ifndef SMAILER_SQL_UPKEEP_H
#define SMAILER_SQL_UPKEEP_H

void upkeep_open(void);

/* The session begins to serve. */
void upkeep_begin(void);

#endif
