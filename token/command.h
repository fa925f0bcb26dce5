/*
 * A token_command at work: a child with its output, its limits and its end.
 */
#ifndef SMAILER_TOKEN_COMMAND_H
#define SMAILER_TOKEN_COMMAND_H

#include <stddef.h>

#include "lib/configuration.h"
#include "lib/error.h"

struct command;

/* The command ended, and is freed after the call. PROBLEM: NULL where it did so with status 0, else
 * how, in words. The LENGTH octets at OUTPUT are wiped after the call. */
typedef void command_done(void *context, const char *output, size_t length, const char *problem);

/* Watches for ends of children. Once, before the first is started. */
bool commands_open(struct error *error);

/* Starts ACCOUNT's command, without a shell; DONE is called later, with CONTEXT. NULL where there
 * is no process, or no pipe. */
struct command *command_start(
    const struct account_settings *account, command_done *done, void *context, struct error *error);

/* Kills all of them. DONE is not called any more. */
void commands_end(void);

#endif
