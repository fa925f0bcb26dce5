#include <string.h>

#include "qmgr/health.h"

/* The most of a refused login, in ms. */
#define LOGIN_MOST (INT64_C(24) * 3600 * 1000)

void
health_note_failure(
    struct health *health, const struct health_gaps *gaps, enum stage stage, int64_t now)
{
    bool login = stage == STAGE_LOGIN;
    int64_t most = login && LOGIN_MOST > gaps->most ? LOGIN_MOST : gaps->most;

    if (!health->down || health->interval < gaps->first)
        health->interval = login ? gaps->most : gaps->first;
    else if (login && health->stage != STAGE_LOGIN)
        health->interval = gaps->most;
    else
        health->interval *= 2;
    if (health->interval > most)
        health->interval = most;
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
