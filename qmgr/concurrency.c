#include "qmgr/concurrency.h"

#define GAP_LEAST 1000
#define GAP_MOST 300000

void
concurrency_init(struct concurrency *concurrency, uint32_t most)
{
    *concurrency = (struct concurrency){.window = most, .most = most, .gap = GAP_LEAST};
}

/* Connections that were begun together may be refused together: the last of them is allowed as many
 * as the first. */
bool
concurrency_note_refusal(struct concurrency *concurrency, uint32_t up, int64_t now)
{
    uint32_t before = concurrency_allowed(concurrency);

    if (concurrency->grown)
        concurrency->gap = concurrency->gap > GAP_MOST / 2 ? GAP_MOST : concurrency->gap * 2;
    concurrency->grown = false;
    concurrency->grow_at = now + concurrency->gap;
    if (up < before)
        concurrency->window = up > 0 ? up : 1;
    return concurrency_allowed(concurrency) < before;
}

void
concurrency_note_success(struct concurrency *concurrency, int64_t now)
{
    uint32_t before = concurrency_allowed(concurrency);

    if (before == concurrency->most || now < concurrency->grow_at)
        return;
    concurrency->window += 1 / concurrency->window;
    if (concurrency_allowed(concurrency) == before)
        return;
    /* The one before this was not refused. */
    if (concurrency->grown && concurrency->gap > GAP_LEAST)
        concurrency->gap /= 2;
    concurrency->grown = true;
    concurrency->grow_at = now + GAP_LEAST;
}

uint32_t
concurrency_allowed(const struct concurrency *concurrency)
{
    uint32_t allowed = (uint32_t)(concurrency->window + 1e-6);

    return allowed < concurrency->most ? allowed : concurrency->most;
}
