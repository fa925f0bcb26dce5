#include "qmgr/serve.h"
#include "lib/clock.h"
#include "lib/service.h"
#include "qmgr/account.h"
#include "qmgr/base.h"
#include "qmgr/finish.h"
#include "qmgr/show.h"
#include "qmgr/workers.h"

/* Also those that left without a word: smtp is about to say why, and what comes next depends on it.
 */
static uint32_t
count_connecting(const struct account *account)
{
    const struct worker *worker;
    uint32_t count = 0;

    TAILQ_FOREACH(worker, &account->workers, in_account)
    count += worker->state == WORKER_CONNECTING || (worker->channel == NULL && !worker->told);
    return count;
}

/* How many connections the account may have now: one while its relay is probed, no more while one
 * was given up for others. */
static uint32_t
connections_allowed(struct account *account)
{
    if (clock_monotonic_ms() < account->share.yields_until && share_is_wanted(account))
        return account->worker_count;
    if (!account->health.down)
        return concurrency_allowed(&account->concurrency);
    return health_allows(&account->health, clock_now_ms()) ? 1 : 0;
}

/* Programs of another queue may have the account's connections: they give up what is more than half
 * of them, or for a while the only one. */
static void
want_connection(struct account *account)
{
    uint32_t half = account->settings->connections / 2;

    share_want(account, account->worker_count < (half > 0 ? half : 1));
}

/* Starts connections for the jobs that no worker is free for. */
static void
start_workers(struct account *account)
{
    uint32_t connecting = count_connecting(account);
    uint32_t room = account_room(account);
    uint32_t queued = account->queued < room ? account->queued : room;
    uint32_t places = service_configuration()->programs[ROLE_SMTP].instances;
    struct worker *spare;

    while (queued > connecting && account->worker_count < connections_allowed(account)) {
        if (workers_count() >= places) {
            spare = workers_find_spare(account->worker_count);
            if (spare != NULL)
                worker_stop(spare);
            return;
        }
        if (worker_start(account, WORKER_PLAIN) == NULL) {
            want_connection(account);
            return;
        }
        share_want(account, false);
        account_had_turn(account);
        connecting++;
    }
}

/* The next job that may be begun; those that may not go back. */
static struct job *
take(struct account *account, struct job *(*next)(struct account *))
{
    struct job *job;

    while ((job = next(account)) != NULL && !base_may_begin(job->base, job))
        finish_untouched(job, JOB_AGAIN, 0);
    return job;
}

/* Gives WORKER the next job; false where there is none, or none may begin. */
static bool
serve_next(struct account *account, struct worker *worker, struct job *(*next)(struct account *))
{
    struct quota_moment begun;
    struct job *job;

    if (!share_begin(account, false, &begun))
        return false;
    job = take(account, next);
    if (job == NULL)
        share_end(account, begun, false);
    else
        worker_deliver(worker, job, begun);
    return job != NULL;
}

/* A run that is watched has one connection, which is made for its first job. */
static void
serve_shown(struct account *account)
{
    struct worker *worker = show_worker(account);

    if (TAILQ_EMPTY(&account->shown))
        return;
    if (worker == NULL && (worker = show_connect(account)) == NULL)
        want_connection(account);
    else if (worker->state == WORKER_UP && worker->in_hand == 0 && account_room(account) > 0) {
        show_deliver(worker);
        serve_next(account, worker, account_take_shown);
    }
}

static bool
has_next(struct account *account)
{
    return !TAILQ_EMPTY(&account->ring) && account_room(account) > 0;
}

static void
serve_suspects(struct account *account)
{
    struct worker *worker;

    while (!TAILQ_EMPTY(&account->suspects) && account_room(account) > 0 &&
           (worker = workers_find_free(account, 0)) != NULL) {
        if (!serve_next(account, worker, account_take_suspect))
            return;
        worker->alone = true;
    }
}

/* Gives a worker that is free a mail, or fills it where the relay is fast; false where there is no
 * worker, or no mail for it. */
static bool
serve_worker(struct account *account, uint32_t most)
{
    struct worker *worker = has_next(account) ? workers_find_free(account, most) : NULL;
    bool served = false;

    while (worker != NULL && serve_next(account, worker, account_take)) {
        served = true;
        if (!account_is_fast(account) || worker_free_places(worker) == 0 || !has_next(account))
            break;
    }
    return served;
}

/* First every idle worker gets a job, then more are started, and only what these will not take
 * queues up behind other jobs in a worker's hand; but where the relay is fast, that comes first. */
static void
serve(struct account *account)
{
    uint32_t most = account_is_fast(account) ? UINT32_MAX : 0;

    serve_shown(account);
    serve_suspects(account);
    while (serve_worker(account, most))
        continue;
    if (!TAILQ_EMPTY(&account->ring) || !TAILQ_EMPTY(&account->suspects))
        start_workers(account);
    while (account->queued > count_connecting(account) && serve_worker(account, UINT32_MAX))
        continue;
}

void
serve_all(void)
{
    struct account *account;
    struct account *after;
    uint32_t most = 0;

    for (uint32_t count = 0; count <= most; count++) {
        for (account = accounts_first(); account != NULL; account = after) {
            after = account_after(account);
            if (account->worker_count > most)
                most = account->worker_count;
            if (account->queued > 0 && account->worker_count == count)
                serve(account);
        }
    }
}
