#include <string.h>
#include <sys/resource.h>

#include <bsd/string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "qmgr/base.h"
#include "qmgr/recorder.h"

/* Every base may have this many mails in hand, whatever the others do. */
#define BASE_LEAST 4

/* And so many at the most; more where there are many connections to keep busy, over a line on which
 * each has its mails under way and the next ones at hand. */
#define BASE_MOST 256
#define BASE_MOST_PER_CONNECTION 6

/* Of those at the committer, so many of all bases together are not counted among these: a disk that
 * is slow to take the records of some is not to hold up the rest. */
#define COMMITTING_MOST 1024

/* What all may have together: mails, and the octets of their files. */
#define TOTAL_MOST 2048

/* What an open queue holds. */
#define QUEUE_DESCRIPTORS 7
#define OCTETS_MOST (64U << 20)

static struct {
    struct base *bases;
    uint32_t count;
    uint32_t base_most; /* mails that one base may have in hand */
    uint32_t committing_most; /* and those of them at the committer that do not count there */
    uint32_t total; /* mails that may be in hand, beyond the few of each base */
    uint32_t in_hand; /* and those that are */
    uint64_t octets;
    uint64_t standing_octets; /* of these, such as stand at workers that do not get on */
    bool stopped;
} all;

/* Each mail in hand is a descriptor; half of what the queues leave is for everything else. */
static uint32_t
find_total(uint32_t bases)
{
    rlim_t queues = (rlim_t)bases * QUEUE_DESCRIPTORS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur / 2 > TOTAL_MOST + queues)
        return TOTAL_MOST;
    return limit.rlim_cur > queues ? (uint32_t)(limit.rlim_cur - queues) / 2 : 0;
}

static uint32_t
find_base_most(const struct configuration *configuration)
{
    uint32_t most = configuration->programs[ROLE_SMTP].instances * BASE_MOST_PER_CONNECTION;

    return most > BASE_MOST ? most : BASE_MOST;
}

void
bases_open(void)
{
    const struct configuration *configuration = service_configuration();

    all.count = (uint32_t)configuration->queue_count;
    all.bases = memory_new(all.count, sizeof(*all.bases));
    all.total = find_total(all.count);
    all.base_most = find_base_most(configuration);
    all.committing_most = COMMITTING_MOST / (all.count > 0 ? all.count : 1);
    for (uint32_t i = 0; i < all.count; i++) {
        all.bases[i].number = i;
        all.bases[i].settings = &configuration->queues[i];
        all.bases[i].recorder = recorder_of(configuration->queues[i].kind);
        all.bases[i].lease_until = INT64_MAX;
    }
}

struct base *
bases_get(uint32_t number)
{
    return number < all.count ? &all.bases[number] : NULL;
}

bool
base_is_mqueue(const struct base *base)
{
    return base != NULL && base->settings->kind == SECTION_MQUEUE;
}

bool
base_is_internal(const struct base *base)
{
    return strcmp(base->settings->section, CONFIGURATION_NOTICES) == 0;
}

struct channel *
base_finder(const struct base *base)
{
    if (base->settings->kind == SECTION_SQL)
        return service_peer(ROLE_SQL, base->settings->instance);
    return service_peer(ROLE_PICKUP, 0);
}

bool
base_may_begin(const struct base *base, const struct job *job)
{
    return job->lease == base->lease && clock_monotonic_ms() < base->lease_until &&
           base->problem[0] == '\0';
}

int64_t
base_begin_until(const struct base *base)
{
    return base == NULL || base->lease_until == INT64_MAX ? 0 : base->lease_until;
}

void
base_note_lease(struct base *base, int64_t until)
{
    base->lease_until = until;
    if (until == 0)
        base->lease++;
}

struct lane *
base_lane(struct base *base, struct account *account)
{
    struct lane *lane = base->lanes;

    while (lane != NULL && lane->account != account)
        lane = lane->next;
    if (lane != NULL)
        return lane;
    lane = memory_new(1, sizeof(*lane));
    lane->account = account;
    lane->base = base;
    TAILQ_INIT(&lane->jobs);
    lane->next = base->lanes;
    base->lanes = lane;
    return lane;
}

void
base_note_job(const struct job *job)
{
    struct base *base = job->base;

    if (base->granted > 0)
        base->granted--;
    base->in_hand++;
    all.in_hand++;
    all.octets += job->identity.size;
}

void
base_note_end(const struct job *job)
{
    job->base->in_hand--;
    job->base->committing -= job->phase == PHASE_COMMITTING;
    all.in_hand--;
    all.octets -= job->identity.size;
}

void
base_enter_phase(struct job *job, enum job_phase phase)
{
    if (job->base != NULL) {
        job->base->committing -= job->phase == PHASE_COMMITTING;
        job->base->committing += phase == PHASE_COMMITTING;
    }
    job->phase = phase;
}

void
bases_forget_standing(void)
{
    for (uint32_t i = 0; i < all.count; i++)
        all.bases[i].standing = 0;
    all.standing_octets = 0;
}

void
base_note_standing(struct base *base, uint64_t size)
{
    base->standing++;
    all.standing_octets += size;
}

bool
bases_are_full(void)
{
    return all.octets > OCTETS_MOST + all.standing_octets;
}

uint32_t
bases_in_hand(void)
{
    return all.in_hand;
}

void
bases_stop_granting(void)
{
    all.stopped = true;
}

/* What BASE has beyond what every base may have. */
static uint32_t
extra_of(const struct base *base)
{
    uint32_t has = base->in_hand + base->granted;

    return has > BASE_LEAST ? has - BASE_LEAST : 0;
}

/* As long as there is room for what the others have. */
static uint32_t
uncounted(const struct base *base)
{
    if (all.octets > OCTETS_MOST / 2)
        return 0;
    return base->committing < all.committing_most ? base->committing : all.committing_most;
}

/* What BASE may have in hand: its few, and beyond them about twice what it makes use of, up to half
 * of what is FREE, which leaves something for the next that comes. */
static uint32_t
limit_of(const struct base *base, uint32_t free)
{
    uint32_t committing = uncounted(base);
    uint32_t limit = base->in_hand * 2 + BASE_LEAST;
    uint32_t most = BASE_LEAST + extra_of(base) + free / 2;

    if (bases_are_full())
        return base->in_hand <= base->standing ? base->in_hand + 1 : 0;
    if (limit > most)
        limit = most;
    return limit > all.base_most + committing ? all.base_most + committing : limit;
}

/* Grants come in lumps, so that there is not a message for each mail. */
static bool
is_worth_it(const struct base *base, uint32_t limit)
{
    uint32_t missing = limit - base->granted - base->in_hand;

    return base->granted == 0 || missing >= limit / 8;
}

/* Grants BASE what room there is; returns how much of what is FREE that takes. */
static uint32_t
grant(struct base *base, uint32_t free)
{
    uint32_t limit = limit_of(base, free);
    uint32_t extra = extra_of(base);
    uint32_t count;

    if (base_finder(base) == NULL || !recorder_is_open(base) || base->problem[0] != '\0' ||
        base->in_hand + base->granted >= limit || !is_worth_it(base, limit))
        return 0;
    count = limit - base->in_hand - base->granted;
    base->granted += count;
    service_send(base_finder(base),
        &(struct message){.type = MESSAGE_ROOM, .room = {.queue = base->number, .count = count}});
    return extra_of(base) - extra;
}

void
bases_grant(void)
{
    uint32_t extra = 0;
    uint32_t free;

    if (all.stopped)
        return;
    for (uint32_t i = 0; i < all.count; i++)
        extra += extra_of(&all.bases[i]);
    free = all.total > extra ? all.total - extra : 0;
    for (uint32_t i = 0; i < all.count; i++)
        free -= grant(&all.bases[i], free);
}

static void
tell_problem(const struct base *base)
{
    service_send(base_finder(base),
        &(struct message){.type = MESSAGE_QUEUE_PROBLEM,
            .queue_problem = {
                .queue = base->number, .problem = base->problem, .alone = base->alone}});
}

void
base_note_problem(struct base *base, const char *problem)
{
    if (strcmp(base->problem, problem) == 0)
        return;
    strlcpy(base->problem, problem, sizeof(base->problem));
    if (problem[0] != '\0')
        log_error("%s/%s: %s", base->settings->section, base->settings->sid, problem);
    else
        log_info("%s/%s: can be used again", base->settings->section, base->settings->sid);
    tell_problem(base);
}

void
base_note_alone(const struct queue *queue, const char *names)
{
    for (uint32_t i = 0; i < all.count; i++) {
        struct base *base = &all.bases[i];

        if (base->queue != queue || strcmp(base->alone, names) == 0)
            continue;
        strlcpy(base->alone, names, sizeof(base->alone));
        if (names[0] != '\0')
            log_warn("%s/%s: %s", base->settings->section, base->settings->sid, names);
        tell_problem(base);
    }
}
