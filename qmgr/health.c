#include <string.h>

#include "qmgr/health.h"

void
health_note_failure(
    struct health *health, const struct health_gaps *gaps, enum stage stage, int64_t now)
{
    if (!health->down || health->interval < gaps->first)
        health->interval = gaps->first;
    else
        health->interval *= 2;
    if (stage == STAGE_LOGIN || health->interval > gaps->most)
        health->interval = gaps->most;
    health->down = true;
    health->stage = stage;
    health->probe_at = now + health->interval;
}

void
health_note_success(struct health *health)
{
    memset(health, 0, sizeof(*health));
}

bool
health_allows(const struct health *health, int64_t now)
{
    return !health->down || now >= health->probe_at || health->probe_at - now > health->interval;
}

void
health_probe_now(struct health *health)
{
    health->probe_at = 0;
}
