/*
 * What smailer-master holds while it runs.
 */
#ifndef SMAILER_MASTER_MASTER_H
#define SMAILER_MASTER_MASTER_H

#include "lib/configuration.h"
#include "lib/error.h"
#include "master/instance.h"
#include "master/logs.h"
#include "master/options.h"
#include "master/program.h"
#include "master/secrets.h"

struct master {
    struct options options;
    struct configuration configuration;
    struct secrets secrets;
    struct programs programs;
    struct logs logs;
    struct instance instance;
    int report; /* to the process that waits for the start, or -1; see daemon.h */
    char farewell[ERROR_TEXT_SIZE + 32]; /* why it could not start, for whoever started it */
};

/* Nothing is held. */
void master_init(struct master *master);

/* Reads and checks what OPTIONS name, with what they override. CONFIGURATION and SECRETS are then
 * the caller's to free; on failure both are empty. No queue is looked for yet. */
bool master_load(const struct options *options, struct configuration *configuration,
    struct secrets *secrets, struct error *error);

/* Gets what is needed to serve: directories, the lock, logs, the control socket, the sandbox.
 * EX_OK, or the status to end with for ERROR; what was got until then is MASTER's to release. */
int master_prepare(struct master *master, struct error *error);

void master_release(struct master *master);

#endif
