/*
 * A run: somebody asked that everything be tried now (`smailer send`, `--once`), and waits until it
 * was. One at a time; further ones wait their turn.
 */
#ifndef SMAILER_PICKUP_RUN_H
#define SMAILER_PICKUP_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/channel.h"
#include "lib/message.h"
#include "pickup/base.h"

/* Counts FILE, which is in hand or parked, as one that RUN (which may be NULL) waits for. */
void run_adopt(struct run *run, struct known_file *file);

/* True where RUN (which may be NULL) wants FILE tried although its time has not come. FILE NULL: a
 * file never met before. */
bool run_forces(const struct run *run, const struct known_file *file);

/* True where RUN is NULL, or for every file, or for the one called NAME. */
bool run_selects(const struct run *run, const char *name);

/* The number of the run that BASE's offers are for, 0: none. */
uint32_t run_number(const struct base *base);

/* True where SID, as a user writes it, names BASE: SID or SECTION/SID; "" names all. */
bool run_names_base(const char *sid, const struct base *base);

/* A mail of that run waits for its account's quota, and the run not for it. */
void run_note_held(uint32_t number);

/* A file that carried RUN's number left qmgr's hands for good; STATUS as in FINISHED. */
void run_note_end(uint32_t number, enum job_end end, uint32_t status);

/* FILE will not be offered (any more): no run waits for it. */
void run_note_gone(struct known_file *file);

/* A list that carried run NUMBER became mails, which are waiting in BASE: they belong to it too. */
void run_look_again(uint32_t number, struct base *base);

/* Looks whether a run is over or another can begin, and tells control how far it is. To be called
 * when anything has changed. */
void run_check(void);

void run_handle(struct channel *from, const struct message *message);
void run_handle_only(struct channel *from, const struct message *message);
void run_handle_cancel(struct channel *from, const struct message *message);

/* Control is gone: nobody waits any more. */
void run_cancel_all(void);

/* What the runs need of their owner: the bases, and a way to wake one. */
struct run_host {
    struct base *(*base)(uint32_t number); /* NULL beyond the last */
    void (*wake)(struct base *base);
};
void run_open(const struct run_host *host);

#endif
