/*
 * The accounts' secrets: in the parent descriptors that nobody looks into, in a worker the one
 * that it needs.
 */
#ifndef SMAILER_SMTP_SECRET_H
#define SMAILER_SMTP_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

/* Keeps DESCRIPTOR, which is closed with the others, as ACCOUNT's; replaces an earlier one. */
void secrets_keep(uint32_t account, int descriptor);

/* In a worker: reads ACCOUNT's secret, "" where it has none, into memory that is neither swapped
 * nor dumped, and closes all of them. NULL where that fails. */
const char *secrets_take(uint32_t account, struct error *error);

/* Puts the one in DESCRIPTOR, which stays the caller's, where secrets_take() gave the last one.
 * *SAME: it was there already. */
bool secrets_replace(int descriptor, bool *same, struct error *error);

/* Overwrites what secrets_take() gave, which is then gone. */
void secrets_wipe(void);

#endif
