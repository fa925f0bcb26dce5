/*
 * A run: somebody asked that everything be tried now (`smailer send`, `--once`), and waits until it
 * was. One at a time; further ones wait their turn.
 */
#ifndef SMAILER_SQL_RUN_H
#define SMAILER_SQL_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/channel.h"
#include "lib/message.h"

void run_open(void);

/* The number of the run at work, 0: none. */
uint32_t run_number(void);

/* A mail left qmgr's hands for good. */
void run_note_end(enum job_end end);

/* Looks whether a run is over or another can begin. To be called when anything has changed. */
void run_check(void);

/* True where SID, as a user writes it, names this process's base; "" names all. */
bool run_names_base(const char *sid);

void run_handle(struct channel *from, const struct message *message);
void run_handle_cancel(struct channel *from, const struct message *message);

/* Control is gone: nobody waits any more. */
void run_cancel_all(void);

#endif
