/*
 * How often a program takes a turn of its event loop. Every turn costs some waking, here and in
 * whom it speaks to, whatever is done in it; so a program that is busy waits a moment between two
 * turns, and does in one what would have taken several. One that was idle takes its next turns
 * at once.
 */
#ifndef SMAILER_TURN_H
#define SMAILER_TURN_H

#include <stdint.h>

/* All in nanoseconds. */
#define TURN_GAP 500000 /* on average, between the beginnings of two turns */
#define TURN_CREDIT (32 * (int64_t)TURN_GAP) /* what a program that was idle may be ahead of that  \
                                              */

struct turn {
    int64_t due; /* when the next one would begin if they came one a gap; 0 at first */
};

/* Notes that a turn is to begin; returns how long to wait before it, 0 to TURN_GAP. NOW: of a clock
 * that never jumps. */
int64_t turn_begin(struct turn *turn, int64_t now);

#endif
