/*
 * How many mails of an account may begin: so many a minute, so many a day, a pause between two.
 * Nothing here reads a clock: WALL is ms since 1970, STEADY ms of the monotonic clock.
 */
#ifndef SMAILER_QMGR_QUOTA_H
#define SMAILER_QMGR_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

/* A minute, and a day, in parts, and the part that has just begun. */
#define QUOTA_SECONDS 61
#define QUOTA_HOURS 25
#define QUOTA_HOUR_MOST                                                                            \
    (UINT32_MAX / 64) /* mails counted in an hour; what is more is not counted */

struct quota_limits {
    uint32_t per_minute; /* 0: any number, as for the next */
    uint32_t per_day;
    int64_t delay; /* ms between the end of one and the beginning of the next; 0: none */
};

/* Mails that were begun in the last parts of a time, those that were not handed over taken off. */
struct quota {
    int64_t second; /* the last one that is counted */
    uint32_t seconds[QUOTA_SECONDS]; /* by the second, modulo */
    int64_t hour;
    uint32_t hours[QUOTA_HOURS];
    uint32_t begun; /* and not ended yet */
    int64_t rest_until; /* steady */
    bool changed; /* since it was written down */
};

/* When a mail was begun, for taking it off again. */
struct quota_moment {
    int64_t second;
    int64_t hour;
};

/* So many may begin now: UINT32_MAX for any number. */
uint32_t quota_room(
    struct quota *quota, const struct quota_limits *limits, int64_t wall, int64_t steady);

/* The same without regard to the pause. */
uint32_t quota_left(
    struct quota *quota, const struct quota_limits *limits, int64_t wall, int64_t steady);

/* A mail begins. */
struct quota_moment quota_begin(struct quota *quota, int64_t wall, int64_t steady);

/* It ended; HANDED_OVER is false where the relay certainly has not taken it, so that it does not
 * count. */
void quota_end(struct quota *quota, const struct quota_limits *limits, struct quota_moment moment,
    bool handed_over, int64_t steady);

/* Adds to QUOTA what others have begun since QUOTA was SEEN: THEIRS is what is written down for all
 * of them. SEEN becomes QUOTA as it is now. True where that is not what is written down yet. */
bool quota_merge(struct quota *quota, struct quota *seen, const struct quota *theirs, int64_t wall);

/* Takes over what was written down: COUNT mails (up to QUOTA_HOUR_MOST) in HOUR. What is too old,
 * or still to come, is passed over. */
void quota_recall(struct quota *quota, int64_t hour, uint32_t count, int64_t wall);

#endif
