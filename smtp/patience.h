/*
 * How long a relay may take for what is awaited of it (RFC 5321, section 4.5.3.2).
 */
#ifndef SMAILER_SMTP_PATIENCE_H
#define SMAILER_SMTP_PATIENCE_H

#include "lib/configuration.h"
#include "smtp/transaction.h"

/* In ms, since octets last went either way; 0: nothing is awaited. */
int64_t patience_with(struct transaction *transaction, const struct account_settings *settings);

#endif
