/*
 * The bases by name, as people write and read them: SID, or SECTION/SID where two sections have it.
 */
#ifndef SMAILER_BASE_H
#define SMAILER_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/configuration.h"
#include "lib/error.h"

/* Makes the names of CONFIGURATION's queues, which must live on. */
void base_start(const struct configuration *configuration);

size_t base_count(void);

/* NULL where there is no such queue. */
const struct queue_settings *base_find(uint32_t queue);
const char *base_name(uint32_t queue);

/* The only one that NAME, as a user writes it, names; NULL where none or several have it. */
const struct queue_settings *base_named(const char *name);

/* False where NAME ("" for all) names no base, or several: ERROR says so, and how to write it. */
bool base_check(const char *name, struct error *error);

#endif
