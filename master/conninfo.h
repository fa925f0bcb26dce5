/*
 * Whether what libpq is told to connect to has a password in it.
 */
#ifndef SMAILER_MASTER_CONNINFO_H
#define SMAILER_MASTER_CONNINFO_H

#include <stdbool.h>

/* True also where that is not certain: a word that begins like the keyword, or a URI with something
 * behind its user. */
bool conninfo_has_password(const char *conninfo);

#endif
