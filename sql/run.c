#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <bsd/string.h>

#include "lib/base_name.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "sql/claim.h"
#include "sql/offer.h"
#include "sql/record.h"
#include "sql/release.h"
#include "sql/run.h"
#include "sql/session.h"

#define PROGRESS_MS 100

struct run {
    STAILQ_ENTRY(run) next;
    uint32_t number;
    bool force;
    bool begun;
    bool searching; /* the database was asked when it is */
    char sid[256];
    char sender[321];
    uint64_t expected;
    uint64_t ended;
    uint64_t sent;
    uint64_t deferred;
    uint64_t dropped;
    uint64_t skipped;
};

static struct {
    STAILQ_HEAD(, run) waiting; /* the first is the one at work */
    struct event *progress;
} runs;

static struct run *
current(void)
{
    struct run *run = STAILQ_FIRST(&runs.waiting);

    return run != NULL && run->begun ? run : NULL;
}

uint32_t
run_number(void)
{
    const struct run *run = current();

    return run == NULL ? 0 : run->number;
}

bool
run_names_base(const char *sid)
{
    const struct queue_settings *queue = session_queue();

    return sid[0] == '\0' || base_name_fits(sid, queue->section, queue->sid);
}

static void
tell(const struct run *run, bool over, const char *problem)
{
    uint64_t known = run->ended + offer_count() + claim_count();
    char words[256];

    strlcpy(words, problem, sizeof(words));
    service_send(service_peer(ROLE_CONTROL, 0),
        &(struct message){.type = MESSAGE_RUN_PROGRESS,
            .run_progress = {.run = run->number,
                .over = over,
                .total = over || known > run->expected ? known : run->expected,
                .sent = run->sent,
                .deferred = run->deferred,
                .dropped = run->dropped,
                .skipped = run->skipped,
                .problem = words}});
}

void
run_note_end(enum job_end end)
{
    struct run *run = current();

    if (run == NULL || end == JOB_GONE)
        return;
    run->ended++;
    if (end == JOB_SENT)
        run->sent++;
    else if (end == JOB_DEFERRED)
        run->deferred++;
    else if (end == JOB_DROPPED)
        run->dropped++;
    else
        run->skipped++;
}

static void
let_go(struct run *run)
{
    bool begun = run->begun;

    STAILQ_REMOVE(&runs.waiting, run, run, next);
    free(run);
    if (!begun)
        return;
    claim_force(0);
    claim_allow(!service_on_demand());
    offer_release_held();
}

static void
counted(void *context, const PGresult *result)
{
    struct run *run = current();
    uint64_t due;

    (void)context;
    if (run == NULL || !run->searching)
        return;
    run->searching = false;
    if (!database_succeeded(result))
        return;
    due = strtoull(PQgetvalue(result, 0, 2), NULL, 10);
    run->expected = strtoull(PQgetvalue(result, 0, 1), NULL, 10) + (run->force ? due : 0);
    if (run->force)
        claim_force(strtoll(PQgetvalue(result, 0, 0), NULL, 10));
    claim_allow(true);
    run_check();
}

static void
begin(struct run *run)
{
    run->begun = true;
    service_send(service_peer(ROLE_QMGR, 0),
        &(struct message){.type = MESSAGE_RUN_FOR,
            .run_for = {.run = run->number, .force = run->force, .sender = run->sender}});
    run->searching = true;
    session_query(STATEMENT_RUN, 0, NULL, counted, NULL);
    log_info("run %u: everything is tried now", run->number);
}

static bool
is_over(const struct run *run)
{
    return !run->searching && claim_is_exhausted() && offer_count() == 0 && !release_is_busy() &&
           !record_is_busy() && offer_is_idle();
}

void
run_check(void)
{
    struct run *run = STAILQ_FIRST(&runs.waiting);

    if (run == NULL || service_peer(ROLE_QMGR, 0) == NULL)
        return;
    if (!run_names_base(run->sid)) {
        tell(run, true, "");
        let_go(run);
        run_check();
        return;
    }
    if (!session_serves()) {
        if (session_problem()[0] == '\0')
            return;
        tell(run, true, session_problem());
        let_go(run);
        run_check();
        return;
    }
    if (!run->begun) {
        begin(run);
        return;
    }
    if (!is_over(run))
        return;
    log_info("run %u: over: %lu sent, %lu deferred, %lu dropped", run->number, run->sent,
        run->deferred, run->dropped);
    tell(run, true, "");
    let_go(run);
    run_check();
}

static void
on_progress(evutil_socket_t descriptor, short what, void *context)
{
    const struct run *run = current();

    (void)descriptor;
    (void)what;
    (void)context;
    if (run != NULL)
        tell(run, false, "");
    run_check();
    if (!STAILQ_EMPTY(&runs.waiting))
        service_timer_start(runs.progress, PROGRESS_MS);
}

void
run_handle(struct channel *from, const struct message *message)
{
    struct run *run = memory_new(1, sizeof(*run));

    (void)from;
    run->number = message->run.run;
    run->force = message->run.force != 0;
    strlcpy(run->sid, message->run.sid, sizeof(run->sid));
    strlcpy(run->sender, message->run.sender, sizeof(run->sender));
    STAILQ_INSERT_TAIL(&runs.waiting, run, next);
    service_timer_start(runs.progress, PROGRESS_MS);
    run_check();
}

void
run_handle_cancel(struct channel *from, const struct message *message)
{
    struct run *run;

    (void)from;
    STAILQ_FOREACH(run, &runs.waiting, next)
    {
        if (run->number != message->run_cancel.run)
            continue;
        let_go(run);
        break;
    }
    run_check();
}

void
run_cancel_all(void)
{
    while (!STAILQ_EMPTY(&runs.waiting))
        let_go(STAILQ_FIRST(&runs.waiting));
}

void
run_open(void)
{
    STAILQ_INIT(&runs.waiting);
    runs.progress = service_timer(on_progress, NULL);
}
