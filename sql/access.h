/*
 * What libpq needs of the file system and of the environment, found before the sandbox.
 */
#ifndef SMAILER_SQL_ACCESS_H
#define SMAILER_SQL_ACCESS_H

#include "lib/service.h"

/* Names the files that CONNINFO leads to: password file, service file, certificates. */
void access_prepare(struct service_paths *paths, const char *conninfo);

#endif
