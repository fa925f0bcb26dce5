/*
 * main.cf, master.cf and accounts.cf: from a directory into a struct configuration, and back.
 */
#ifndef SMAILER_CONFIGURATION_FILE_H
#define SMAILER_CONFIGURATION_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "lib/configuration.h"
#include "lib/error.h"
#include "master/secrets.h"

/* Reads and checks the three files in DIRECTORY. CONFIGURATION, which need not be initialised, and
 * SECRETS are then the caller's to free; no queue is looked for yet (master/queues.h), and no user
 * (configuration_check_users). On failure both are empty, and ERROR names file, line and what is
 * expected. */
bool configuration_load(const char *directory, struct configuration *configuration,
    struct secrets *secrets, struct error *error);

/* main.cf alone, for whoever may not read the other files; CONFIGURATION is as for
 * configuration_load. */
bool configuration_load_main(
    const char *directory, struct configuration *configuration, struct error *error);

/* False where root starts smailer and a user that the configuration names does not exist. */
bool configuration_check_users(const struct configuration *configuration, struct error *error);

/* What would be used, every key of it, in the files' own grammar: each file begins with a comment,
 * "# main.cf" and so on. Queues are comments; so is a password, which is not shown. */
void configuration_print(const struct configuration *configuration, FILE *stream);

#endif
