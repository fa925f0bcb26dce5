/*
 * The mails in qmgr's hand, by their numbers.
 */
#ifndef SMAILER_PICKUP_IN_HAND_H
#define SMAILER_PICKUP_IN_HAND_H

#include <stdbool.h>
#include <stdint.h>

#include "pickup/base.h"

/* Its number is its place here, and above that how often the place was used, so that a late answer
 * never hits another mail. */
struct job {
    uint32_t use;
    bool used;
    struct base *base;
    enum mail_state place;
    uint64_t key;
    int64_t next_try; /* what its record says, ms */
    uint32_t run;
    char *name;
};

/* A new one, empty, and its number. Valid until the next one is taken. */
struct job *in_hand_take(uint64_t *number);

/* NULL where there is none. */
struct job *in_hand_find(uint64_t number);

/* Frees its name, too. */
void in_hand_free(struct job *job);

#endif
