#include "qmgr/parking.h"
#include "lib/clock.h"
#include "lib/service.h"
#include "qmgr/finish.h"
#include "qmgr/schedule.h"

/* A lane that would not be empty after PACE_MS, at its pace, is slow: what comes behind the first
 * few of its mails waits at pickup, so that it does not fill the window of its base. How long one
 * mail waits says nothing: an older one that is found later goes first. */

/* How many these few are: of what all lanes of a base may keep (half of its window), each has its
 * share. */
#define LANES_KEEP 128U
#define LANE_KEEPS_MOST 32U
#define LANE_KEEPS_LEAST 4U

/* The same where the mails in hand are as many octets as they may be. */
#define LANE_KEEPS_FULL 1U

/* Parked mails that were asked for and did not come (somebody removed them) are asked for again. */
#define WANTED_AGAIN_MS 1000

static uint32_t first_base; /* each refill begins with another one */

void
parking_park(struct job *job, bool held)
{
    struct lane *lane = job->lane;

    lane->parked++;
    service_send(base_finder(job->base),
        &(struct message){.type = MESSAGE_PARKED,
            .parked = {.job = job->number, .account = lane->account->number, .held = held}});
    finish_release(job);
    base_note_end(job);
    job_free(job);
    schedule_soon();
}

bool
parking_holds(struct account *account)
{
    return account_left(account) <= account->queued;
}

static bool
is_slow(struct lane *lane)
{
    return lane->count > pace_of(&lane->pace, clock_monotonic_ms());
}

/* How many mails LANE keeps while it is slow. */
static uint32_t
share_of(const struct lane *lane)
{
    uint32_t lanes = 0;
    uint32_t share;

    for (const struct lane *each = lane->base->lanes; each != NULL; each = each->next)
        lanes += each->count > 0;
    if (bases_are_full())
        return LANE_KEEPS_FULL;
    share = LANES_KEEP / (lanes > 0 ? lanes : 1);
    if (share > LANE_KEEPS_MOST)
        return LANE_KEEPS_MOST;
    return share < LANE_KEEPS_LEAST ? LANE_KEEPS_LEAST : share;
}

bool
parking_is_full(struct lane *lane)
{
    return lane->count >= share_of(lane) && is_slow(lane);
}

/* They come, or are given up. */
static void
note_arrival(struct lane *lane, uint32_t count)
{
    if (count > lane->wanted)
        count = lane->wanted;
    lane->wanted -= count;
    lane->account->wanted -= count;
}

void
parking_note_unparked(struct base *base, uint32_t account_number, uint32_t count)
{
    struct account *account = accounts_get(account_number);
    struct lane *lane;

    if (account == NULL)
        return;
    lane = base_lane(base, account);
    lane->parked -= count < lane->parked ? count : lane->parked;
    note_arrival(lane, count);
}

/* How many mails of LANE's there is a use for. */
static uint32_t
find_use(const struct lane *lane)
{
    struct account *account = lane->account;
    uint32_t count = share_of(lane) * 2;
    uint32_t left = account_left(account);
    uint32_t coming = account->queued + account->wanted;

    if (left != UINT32_MAX && left < coming + count)
        count = left > coming ? left - coming : 0;
    return count < lane->parked ? count : lane->parked;
}

static void
want(struct lane *lane, uint32_t count)
{
    service_send(base_finder(lane->base),
        &(struct message){.type = MESSAGE_WANTED,
            .wanted = {
                .queue = lane->base->number, .account = lane->account->number, .count = count}});
}

static void
refill(struct lane *lane)
{
    const struct health *health = &lane->account->health;
    int64_t now = clock_monotonic_ms();
    uint32_t count;

    if (lane->wanted > 0 && now - lane->wanted_at > WANTED_AGAIN_MS)
        note_arrival(lane, lane->wanted);
    if (lane->parked == 0 || lane->wanted > 0 || lane->count > share_of(lane) / 2)
        return;
    if (health->down && !health_allows(health, clock_now_ms()))
        return;
    count = find_use(lane);
    if (count == 0)
        return;
    lane->wanted = count;
    lane->account->wanted += count;
    lane->wanted_at = now;
    lane->held = false;
    want(lane, count);
}

static void
refill_base(const struct base *base)
{
    for (struct lane *lane = base->lanes; lane != NULL; lane = lane->next)
        refill(lane);
}

void
parking_refill(void)
{
    struct base *base;

    if (bases_get(++first_base) == NULL)
        first_base = 0;
    for (uint32_t i = first_base; (base = bases_get(i)) != NULL; i++)
        refill_base(base);
    for (uint32_t i = 0; i < first_base && (base = bases_get(i)) != NULL; i++)
        refill_base(base);
}

/* The youngest of LANE's mails, taken out of it. */
static struct job *
take_last(struct lane *lane)
{
    struct job *job = TAILQ_LAST(&lane->jobs, job_list);

    TAILQ_REMOVE(&lane->jobs, job, next);
    lane->count--;
    lane->account->queued--;
    return job;
}

/* What was parked before the quota was spent is not to be waited for any more either. */
static void
hold(struct lane *lane)
{
    if (lane->held || lane->parked == 0)
        return;
    lane->held = true;
    want(lane, 0);
}

/* A lane that stands still gives up what it has beyond a few, the youngest first; one whose account
 * has spent its quota, all. */
static void
shorten(struct lane *lane)
{
    bool spent = account_left(lane->account) == 0;

    if (spent)
        hold(lane);
    while (lane->count > 0 && (spent || (lane->count > share_of(lane) && is_slow(lane))))
        parking_park(take_last(lane), spent);
    if (lane->count == 0 && lane->in_ring) {
        TAILQ_REMOVE(&lane->account->ring, lane, in_account);
        lane->in_ring = false;
    }
}

static void
shorten_suspects(struct account *account)
{
    while (!TAILQ_EMPTY(&account->suspects) && account_left(account) == 0)
        parking_park(account_take_suspect(account), true);
    while (!TAILQ_EMPTY(&account->shown) && account_left(account) == 0)
        parking_park(account_take_shown(account), true);
}

void
parking_shorten(void)
{
    struct base *base;
    struct account *account;

    for (uint32_t i = 0; (base = bases_get(i)) != NULL; i++) {
        for (struct lane *lane = base->lanes; lane != NULL; lane = lane->next)
            shorten(lane);
    }
    for (uint32_t i = 0; (account = accounts_get(i)) != NULL; i++)
        shorten_suspects(account);
}
