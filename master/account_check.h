/*
 * What an account of accounts.cf must be beyond the types of its keys.
 */
#ifndef SMAILER_ACCOUNT_CHECK_H
#define SMAILER_ACCOUNT_CHECK_H

#include <stdbool.h>

#include "lib/configuration.h"
#include "lib/error.h"

/* False where TITLE is no address, "@domain" or "default", or CONFIGURATION has it already. */
bool account_check_title(
    const struct configuration *configuration, const char *title, struct error *error);

/* False where ACCOUNT contradicts itself, as with a user without a password. Fills in the relay's
 * port where the file has none. */
bool account_complete(struct account_settings *account, struct error *error);

#endif
