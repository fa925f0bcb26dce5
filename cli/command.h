/*
 * The commands of smailer.
 */
#ifndef SMAILER_COMMAND_H
#define SMAILER_COMMAND_H

#include "cli/options.h"

/* SENDER: "" for all; ADDRESS: "" where there is none. Each returns the exit status. */
int command_queue(const struct options *options, const char *sender, const char *address);
int command_send(const struct options *options, const char *sender, const char *address);
int command_test(const struct options *options, const char *sender, const char *address);
int command_status(const struct options *options, const char *sender, const char *address);
int command_init(const struct options *options, const char *sender, const char *address);

#endif
