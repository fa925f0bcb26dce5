/*
 * A second connection for what people ask, made when they do: listings and counts may take long,
 * and must not hold up what is recorded.
 */
#ifndef SMAILER_SQL_SIDE_H
#define SMAILER_SQL_SIDE_H

#include "sql/database.h"

void side_open(const char *conninfo);

/* As database_query, once there is a connection; NULL where there is none: side_problem() says
 * why. */
void side_query(const char *sql, int count, const char *const *parameters, database_answer answer,
    void *context);

const char *side_problem(void);

#endif
