#include "qmgr/workers.h"

#include "lib/clock.h"
#include "lib/service.h"
#include "qmgr/account.h"

/* Where more accounts have mails than there are places, they take turns of this length. */
#define TURN_MS 1000

/* And where other programs want a connection, whose share is not more than theirs, of this one. */
#define LONG_TURN_MS 10000

/* A worker that was stopped is done with what it has in this time, or its relay hangs. */
#define STOP_MS 1000

/* A job stands that is its worker's first for longer than this. */
#define STANDING_MS 1000

/* What waits behind a job is given to somebody else after so many times what the relay takes for a
 * mail, in these bounds; where nobody else gets on either, after the most. */
#define RECALL_FACTOR 32
#define RECALL_LEAST_MS 500
#define RECALL_MOST_MS 5000

static struct {
    LIST_HEAD(, worker) workers;
    uint32_t count;
    uint32_t last_number;
} all;

void
workers_open(void)
{
    LIST_INIT(&all.workers);
}

uint32_t
workers_count(void)
{
    return all.count;
}

void
workers_add(struct worker *worker)
{
    worker->number = ++all.last_number;
    LIST_INSERT_HEAD(&all.workers, worker, in_all);
    all.count++;
}

void
workers_remove(struct worker *worker)
{
    LIST_REMOVE(worker, in_all);
    all.count--;
}

struct worker *
workers_find(uint32_t number)
{
    struct worker *worker;

    LIST_FOREACH(worker, &all.workers, in_all)
    {
        if (worker->number == number)
            return worker;
    }
    return NULL;
}

/* True where A is the better one to stop. Of two accounts with as many, the one that has had its
 * place for longer gives it up. */
static bool
is_better_spare(const struct worker *a, const struct worker *b)
{
    if (a->account->worker_count != b->account->worker_count)
        return a->account->worker_count > b->account->worker_count;
    return a->started_at < b->started_at;
}

struct worker *
workers_find_spare(uint32_t own)
{
    struct worker *worker;
    struct worker *spare = NULL;
    int64_t now = clock_monotonic_ms();

    LIST_FOREACH(worker, &all.workers, in_all)
    {
        if (worker->state == WORKER_STOPPING && now - worker->stopped_at < STOP_MS)
            return NULL; /* a place comes free already */
        if (worker->state != WORKER_UP || worker->kind != WORKER_PLAIN)
            continue;
        if (worker->in_hand == 0 && worker->account->queued == 0)
            return worker;
        if (worker->account->worker_count <= own + 1 &&
            (own > 0 || now - worker->started_at < TURN_MS))
            continue;
        if (spare == NULL || is_better_spare(worker, spare))
            spare = worker;
    }
    return spare;
}

uint32_t
worker_free_places(const struct worker *worker)
{
    uint32_t places = worker->hung ? 1 : worker->room;
    uint32_t taken = worker->in_hand + worker->unrecorded;

    return taken < places ? places - taken : 0;
}

/* True where the worker may be given a mail. With a fast relay, one that is at work gets its next
 * mails once there is room for several, which then reach it together. */
static bool
takes_more(const struct worker *worker, bool fast)
{
    uint32_t free = worker_free_places(worker);

    if (worker->state != WORKER_UP || worker->alone || worker->kind != WORKER_PLAIN || free == 0)
        return false;
    return !fast || worker->in_hand == 0 || free >= worker->room / 2;
}

struct worker *
workers_find_free(const struct account *account, uint32_t most)
{
    bool fast = account_is_fast(account);
    struct worker *worker;
    struct worker *best = NULL;

    TAILQ_FOREACH(worker, &account->workers, in_account)
    {
        if (!takes_more(worker, fast) || worker->in_hand > most)
            continue;
        if (best == NULL ||
            (fast ? worker->in_hand > best->in_hand : worker->in_hand < best->in_hand))
            best = worker;
    }
    return best;
}

void
workers_stop_idle(bool at_once)
{
    struct worker *worker;
    int64_t now = clock_monotonic_ms();

    LIST_FOREACH(worker, &all.workers, in_all)
    {
        if (worker->state == WORKER_UP && worker->in_hand == 0 && worker->idle_since != 0 &&
            (at_once || (worker->unrecorded == 0 &&
                            now - worker->idle_since >= worker->account->settings->idle)))
            worker_stop(worker);
    }
}

/* How long WORKER may keep its connection from others who want it. */
static int64_t
turn_of(const struct worker *worker)
{
    const struct account *account = worker->account;

    if (worker->in_hand == 0 && account->queued == 0)
        return 0;
    return account->worker_count > account->settings->connections / 2 ? TURN_MS : LONG_TURN_MS;
}

/* The worker of ACCOUNT that others get the connection of; NULL where none is to go, or one goes.
 */
static struct worker *
find_to_share(const struct account *account, int64_t now)
{
    struct worker *worker;
    struct worker *found = NULL;

    TAILQ_FOREACH(worker, &account->workers, in_account)
    {
        if (worker->state == WORKER_STOPPING && now - worker->stopped_at < STOP_MS)
            return NULL;
        if (worker->state == WORKER_UP && worker->kind == WORKER_PLAIN &&
            now - worker->started_at >= turn_of(worker) &&
            (found == NULL || worker->in_hand < found->in_hand))
            found = worker;
    }
    return found;
}

void
workers_share(void)
{
    struct account *account;
    struct worker *worker;

    for (account = accounts_first(); account != NULL; account = account_after(account)) {
        if (account->queued == 0)
            share_want(account, false);
        if (account->worker_count == 0 || !share_is_wanted(account))
            continue;
        worker = find_to_share(account, clock_monotonic_ms());
        if (worker == NULL)
            continue;
        worker->yields = true;
        worker_stop(worker);
    }
}

static void
recall(struct worker *worker)
{
    struct job *job = TAILQ_FIRST(&worker->jobs);

    worker->hung = true;
    while ((job = TAILQ_NEXT(job, next)) != NULL) {
        if (job->recalled)
            continue;
        job->recalled = true;
        service_send(
            worker->channel, &(struct message){.type = MESSAGE_RECALL, .recall = {job->number}});
    }
}

static int64_t
patience_with(const struct account *account)
{
    double patience = account->mail_ms * RECALL_FACTOR;

    if (patience < RECALL_LEAST_MS)
        return RECALL_LEAST_MS;
    return patience < RECALL_MOST_MS ? (int64_t)patience : RECALL_MOST_MS;
}

/* True where ACCOUNT has, or may have, a worker that gets on. */
static bool
has_better(const struct account *account, int64_t now)
{
    const struct worker *worker;

    if (account->worker_count < concurrency_allowed(&account->concurrency) &&
        all.count < service_configuration()->programs[ROLE_SMTP].instances)
        return true;
    TAILQ_FOREACH(worker, &account->workers, in_account)
    {
        if (worker->state == WORKER_UP && !worker->alone && worker->kind == WORKER_PLAIN &&
            (worker->in_hand == 0 || now - worker->head_since < patience_with(account)))
            return true;
    }
    return false;
}

void
workers_recall(void)
{
    struct worker *worker;
    int64_t now = clock_monotonic_ms();

    LIST_FOREACH(worker, &all.workers, in_all)
    {
        int64_t stands = now - worker->head_since;

        if (worker->state != WORKER_UP || worker->in_hand <= 1)
            continue;
        if (stands >= RECALL_MOST_MS ||
            (stands >= patience_with(worker->account) && has_better(worker->account, now)))
            recall(worker);
    }
}

void
workers_note_standing(void)
{
    struct worker *worker;
    int64_t now = clock_monotonic_ms();

    bases_forget_standing();
    LIST_FOREACH(worker, &all.workers, in_all)
    {
        const struct job *job = TAILQ_FIRST(&worker->jobs);

        if (job != NULL && job->base != NULL && now - worker->head_since >= STANDING_MS)
            base_note_standing(job->base, job->identity.size);
    }
}

void
workers_stop_all(void)
{
    struct worker *worker;

    LIST_FOREACH(worker, &all.workers, in_all)
    worker_stop(worker);
}

void
workers_each(void (*visit)(struct worker *worker, void *context), void *context)
{
    struct worker *worker;

    LIST_FOREACH(worker, &all.workers, in_all)
    visit(worker, context);
}

void
workers_smtp_left(void)
{
    struct worker *worker;
    struct worker *after;

    for (worker = LIST_FIRST(&all.workers); worker != NULL; worker = after) {
        after = LIST_NEXT(worker, in_all);
        worker->gone = true;
        worker_settle(worker);
    }
}
