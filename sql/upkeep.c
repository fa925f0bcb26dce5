#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/service.h"
#include "lib/text.h"
#include "sql/claim.h"
#include "sql/drain.h"
#include "sql/offer.h"
#include "sql/record.h"
#include "sql/session.h"
#include "sql/upkeep.h"

#define HOUR_MS 3600000
#define SWEEP_LIMIT 500 /* of STATEMENT_SWEEP */

static struct {
    struct event *poll;
    struct event *leases;
    struct event *sweep;
} upkeep;

/* ---- rows that this host has not, or nobody has ---- */

static void
reconciled(void *context, const PGresult *result)
{
    (void)context;
    if (result == NULL)
        return;
    if (!database_succeeded(result))
        session_note_failure("give rows back", result);
    else if (strcmp(PQcmdTuples((PGresult *)(uintptr_t)result), "0") != 0)
        claim_wake();
}

/* What a broken connection claimed without saying so, and what this host had before its end. */
static void
reconcile(void)
{
    struct array keys;
    char *list;
    const char *parameters[1];

    if (claim_is_busy())
        return;
    array_open(&keys);
    claim_add_keys(&keys);
    offer_add_keys(&keys);
    record_add_keys(&keys);
    list = array_close(&keys);
    parameters[0] = list;
    session_query_own(STATEMENT_RECONCILE, 1, parameters, reconciled, NULL);
    free(list);
}

static void
taken_over(void *context, const PGresult *result)
{
    (void)context;
    if (result == NULL)
        return;
    if (!database_succeeded(result)) {
        session_note_failure("take over from hosts that ended", result);
        return;
    }
    if (strcmp(PQgetvalue(result, 0, 1), "0") == 0)
        return;
    log_warn("%s rows come back whose host (%s) has not been heard of", PQgetvalue(result, 0, 1),
        PQgetvalue(result, 0, 0));
    claim_wake();
}

/* Not before this host has had a connection for a whole lease: after the database, or the network,
 * was away for all, each has the time to come back and say what it has sent. */
static void
on_leases(evutil_socket_t descriptor, short what, void *context)
{
    int64_t lease = session_queue()->lease;

    (void)descriptor;
    (void)what;
    (void)context;
    service_timer_start(upkeep.leases, lease / 4);
    if (!session_serves() || drain_has_begun())
        return;
    if (session_age() > lease) {
        session_query_own(STATEMENT_TAKE_OVER, 0, NULL, taken_over, NULL);
        if (session_serves())
            reconcile();
    }
}

/* ---- looking, unasked ---- */

static void
adopted(void *context, const PGresult *result)
{
    (void)context;
    if (result == NULL)
        return;
    if (!database_succeeded(result)) {
        session_note_failure("take in deferred rows", result);
        return;
    }
    /* A claim that was under way did not see when their time comes. */
    claim_wake();
}

static void
adopt(void)
{
    char spread[24];
    const char *parameters[] = {spread};

    text_format(
        spread, sizeof(spread), "%" PRId64, service_configuration()->settings.retry_interval);
    session_query(STATEMENT_ADOPT, 1, parameters, adopted, NULL);
}

static void
on_poll(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    service_timer_start(upkeep.poll, service_configuration()->settings.scan_interval);
    if (!session_serves() || drain_has_begun())
        return;
    adopt();
    claim_wake();
}

/* ---- retention ---- */

static void
swept(void *context, const PGresult *result)
{
    (void)context;
    if (result == NULL)
        return;
    if (!database_succeeded(result)) {
        char words[300];

        database_words(result, words, sizeof(words));
        log_error("old rows cannot be removed: %s", words);
        return;
    }
    for (int i = 0; i < PQntuples(result); i++)
        log_info("%s: removed", PQgetvalue(result, i, 0));
    if (PQntuples(result) == SWEEP_LIMIT)
        service_timer_start(upkeep.sweep, 0);
}

static void
sweep(const char *status, int64_t keep)
{
    char milliseconds[24];
    const char *parameters[] = {status, milliseconds};

    text_format(milliseconds, sizeof(milliseconds), "%" PRId64, keep);
    if (keep > 0 && session_serves())
        session_query(STATEMENT_SWEEP, 2, parameters, swept, NULL);
}

static int64_t
sweep_interval(void)
{
    const struct queue_settings *queue = session_queue();
    int64_t interval = HOUR_MS;

    if (queue->keep_sent > 0 && queue->keep_sent < interval)
        interval = queue->keep_sent;
    if (queue->keep_dropped > 0 && queue->keep_dropped < interval)
        interval = queue->keep_dropped;
    return interval > 1000 ? interval : 1000;
}

static void
on_sweep(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    service_timer_start(upkeep.sweep, sweep_interval());
    if (!session_serves() || drain_has_begun())
        return;
    sweep("S", session_queue()->keep_sent);
    sweep("D", session_queue()->keep_dropped);
    if (session_serves())
        session_query(STATEMENT_SWEEP_ORPHANS, 0, NULL, adopted, NULL);
}

void
upkeep_begin(void)
{
    reconcile();
    if (session_serves() && !service_on_demand())
        adopt();
    claim_wake();
}

void
upkeep_open(void)
{
    upkeep.poll = service_timer(on_poll, NULL);
    upkeep.leases = service_timer(on_leases, NULL);
    upkeep.sweep = service_timer(on_sweep, NULL);
    service_timer_start(upkeep.leases, session_queue()->lease / 4);
    if (service_on_demand())
        return;
    service_timer_start(upkeep.poll, service_configuration()->settings.scan_interval);
    service_timer_start(upkeep.sweep, sweep_interval());
}
