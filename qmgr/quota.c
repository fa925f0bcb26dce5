#include <string.h>

#include "qmgr/quota.h"

#define SECOND_MS 1000
#define HOUR_MS (3600 * INT64_C(1000))

static uint32_t *
part(uint32_t parts[], uint32_t count, int64_t number)
{
    return &parts[(uint64_t)number % count];
}

/* Makes NOW the last part, and empties those that are over. A clock that was set back changes
 * nothing until it has caught up, or is behind all that is counted. */
static void
turn(uint32_t parts[], uint32_t count, int64_t *last, int64_t now)
{
    if (now <= *last && now > *last - (int64_t)count)
        return;
    if (now > *last && now - *last < (int64_t)count) {
        while (*last < now)
            *part(parts, count, ++*last) = 0;
        return;
    }
    memset(parts, 0, count * sizeof(parts[0]));
    *last = now;
}

/* So that what is written down can be read again, and no sum overflows. */
static uint32_t
bounded(int64_t count)
{
    if (count < 0)
        return 0;
    return count > QUOTA_HOUR_MOST ? QUOTA_HOUR_MOST : (uint32_t)count;
}

static uint32_t
room_in(const uint32_t parts[], uint32_t count, uint32_t limit)
{
    uint64_t sum = 0;

    if (limit == 0)
        return UINT32_MAX;
    for (uint32_t i = 0; i < count; i++)
        sum += parts[i];
    return sum < limit ? limit - (uint32_t)sum : 0;
}

uint32_t
quota_left(struct quota *quota, const struct quota_limits *limits, int64_t wall, int64_t steady)
{
    uint32_t minute;
    uint32_t day;

    turn(quota->seconds, QUOTA_SECONDS, &quota->second, steady / SECOND_MS);
    turn(quota->hours, QUOTA_HOURS, &quota->hour, wall / HOUR_MS);
    minute = room_in(quota->seconds, QUOTA_SECONDS, limits->per_minute);
    day = room_in(quota->hours, QUOTA_HOURS, limits->per_day);
    return minute < day ? minute : day;
}

/* A pause that is longer than it may be is of before the machine was started anew. */
static bool
is_resting(const struct quota *quota, const struct quota_limits *limits, int64_t steady)
{
    return steady < quota->rest_until && quota->rest_until - steady <= limits->delay;
}

uint32_t
quota_room(struct quota *quota, const struct quota_limits *limits, int64_t wall, int64_t steady)
{
    uint32_t room = quota_left(quota, limits, wall, steady);

    if (limits->delay == 0 || room == 0)
        return room;
    return quota->begun == 0 && !is_resting(quota, limits, steady) ? 1 : 0;
}

struct quota_moment
quota_begin(struct quota *quota, int64_t wall, int64_t steady)
{
    turn(quota->seconds, QUOTA_SECONDS, &quota->second, steady / SECOND_MS);
    turn(quota->hours, QUOTA_HOURS, &quota->hour, wall / HOUR_MS);
    ++*part(quota->seconds, QUOTA_SECONDS, quota->second);
    ++*part(quota->hours, QUOTA_HOURS, quota->hour);
    quota->begun++;
    quota->changed = true;
    return (struct quota_moment){quota->second, quota->hour};
}

static void
take_off(uint32_t parts[], uint32_t count, int64_t last, int64_t number)
{
    uint32_t *counted = part(parts, count, number);

    if (number <= last && number > last - (int64_t)count && *counted > 0)
        --*counted;
}

void
quota_end(struct quota *quota, const struct quota_limits *limits, struct quota_moment moment,
    bool handed_over, int64_t steady)
{
    if (quota->begun > 0)
        quota->begun--;
    quota->rest_until = steady + limits->delay;
    if (handed_over)
        return;
    take_off(quota->seconds, QUOTA_SECONDS, quota->second, moment.second);
    take_off(quota->hours, QUOTA_HOURS, quota->hour, moment.hour);
    quota->changed = true;
}

void
quota_recall(struct quota *quota, int64_t hour, uint32_t count, int64_t wall)
{
    uint32_t *counted = part(quota->hours, QUOTA_HOURS, hour);

    turn(quota->hours, QUOTA_HOURS, &quota->hour, wall / HOUR_MS);
    if (hour <= quota->hour && hour > quota->hour - QUOTA_HOURS)
        *counted = bounded((int64_t)*counted + count);
}

/* What is counted for HOUR. */
static int64_t
count_of(const struct quota *quota, int64_t hour)
{
    if (hour > quota->hour || hour <= quota->hour - QUOTA_HOURS)
        return 0;
    return quota->hours[(uint64_t)hour % QUOTA_HOURS];
}

bool
quota_merge(struct quota *quota, struct quota *seen, const struct quota *theirs, int64_t wall)
{
    bool is_new = false;

    turn(quota->hours, QUOTA_HOURS, &quota->hour, wall / HOUR_MS);
    for (int64_t hour = quota->hour - QUOTA_HOURS + 1; hour <= quota->hour; hour++) {
        int64_t own = count_of(quota, hour) - count_of(seen, hour);
        int64_t all = count_of(theirs, hour) + own;

        *part(quota->hours, QUOTA_HOURS, hour) = bounded(all);
        is_new |= own != 0;
    }
    *seen = *quota;
    return is_new;
}
