/*
 * Which account a mail is sent from, and whether its base may.
 */
#ifndef SMAILER_ACCOUNT_H
#define SMAILER_ACCOUNT_H

#include "lib/configuration.h"

/* The account of SENDER: that address itself, else its domain's ("@example.com"), else "default".
 * Case does not matter. NULL where there is none. */
const struct account_settings *account_find(
    const struct configuration *configuration, const char *sender);

/* True where ACCOUNT's sids name the base: SID, SECTION/SID or "*". Where they don't, the mail has
 * no account: a wider one is not looked for. */
bool account_allows(const struct account_settings *account, const char *sid, const char *section);

#endif
