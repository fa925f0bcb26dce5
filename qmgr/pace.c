#include "qmgr/pace.h"

static void
roll(struct pace *pace, int64_t now)
{
    int64_t elapsed = now - pace->since;

    if (elapsed < PACE_MS)
        return;
    pace->before = elapsed < 2 * PACE_MS ? pace->left : 0;
    pace->left = 0;
    pace->since = now;
}

void
pace_begin(struct pace *pace, int64_t now)
{
    *pace = (struct pace){.since = now, .before = UINT32_MAX};
}

void
pace_note(struct pace *pace, int64_t now)
{
    roll(pace, now);
    pace->left++;
}

uint32_t
pace_of(struct pace *pace, int64_t now)
{
    roll(pace, now);
    return pace->left > pace->before ? pace->left : pace->before;
}
