/*
 * A job of sendmail's queue: what its two files make as an envelope and a message.
 */
#ifndef SMAILER_CLEANUP_JOB_H
#define SMAILER_CLEANUP_JOB_H

#include <stdbool.h>

#include "lib/configuration.h"
#include "lib/error.h"
#include "lib/message.h"

#include "cleanup/address.h"
#include "cleanup/judge.h"

/* Reads the aliases of every mqueue, and what testing says, before the sandbox. CONFIGURATION must
 * live as long. */
bool job_open(const struct configuration *configuration, struct error *error);

/* Judges the files of PARSE, as judge_file() does. */
void judge_job(const struct message_parse *parse, struct judgement *judgement);

#endif
