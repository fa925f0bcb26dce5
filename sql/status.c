#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "lib/memory.h"
#include "lib/service.h"
#include "sql/claim.h"
#include "sql/offer.h"
#include "sql/session.h"
#include "sql/side.h"
#include "sql/status.h"

/* Control waits no longer than 5 s for everybody; a table that is large is guessed at then. */
#define LIMIT_MS 2500

static struct {
    uint32_t request; /* 0: none */
    uint32_t question; /* counts them, so that late answers are known */
    uint64_t counts[4]; /* waiting, deferred, dropped, all */
    bool has_sent;
    uint64_t sent;
    struct event *limit;
} status;

static void
answer(void)
{
    const struct queue_settings *queue = session_queue();
    uint64_t few = status.counts[0] + status.counts[1] + status.counts[2];
    uint64_t guess = status.counts[3] > few ? status.counts[3] - few : 0;
    char problem[500];

    if (status.request == 0)
        return;
    strlcpy(problem, session_problem(), sizeof(problem));
    service_send(
        service_peer(ROLE_CONTROL, 0), &(struct message){.type = MESSAGE_STATUS_QUEUE,
                                           .status_queue = {.request = status.request,
                                               .queue = session_queue_number(),
                                               .waiting = status.counts[0],
                                               .deferred = status.counts[1],
                                               .sent = status.has_sent ? status.sent : guess,
                                               .dropped = status.counts[2],
                                               .in_hand = (uint32_t)offer_count(),
                                               .parked = (uint32_t)claim_parked(),
                                               .problem = problem,
                                               .section = queue->section,
                                               .sid = queue->sid}});
    service_send(service_peer(ROLE_CONTROL, 0),
        &(struct message){.type = MESSAGE_STATUS_END, .status_end = {.request = status.request}});
    status.request = 0;
}

static bool
is_current(const void *context)
{
    return status.request != 0 && (uint32_t)(uintptr_t)context == status.question;
}

static uint64_t
value(const PGresult *result, int column)
{
    return strtoull(PQgetvalue(result, 0, column), NULL, 10);
}

static void
counted_sent(void *context, const PGresult *result)
{
    if (!is_current(context))
        return;
    if (database_succeeded(result)) {
        status.has_sent = true;
        status.sent = value(result, 0);
    }
    answer();
}

static void
guessed(void *context, const PGresult *result)
{
    if (is_current(context) && database_succeeded(result) && PQntuples(result) == 1)
        status.counts[3] = value(result, 0);
}

static void
counted(void *context, const PGresult *result)
{
    if (!is_current(context) || !database_succeeded(result))
        return;
    for (int i = 0; i < 3; i++)
        status.counts[i] = value(result, i);
}

static void
begin(void *context)
{
    char *name;
    const char *parameters[1];

    if (!is_current(context))
        return;
    if (!session_serves()) {
        answer();
        return;
    }
    name = table_quote_name(session_queue());
    parameters[0] = name;
    side_query(session_statement(STATEMENT_COUNT_FEW), 0, NULL, counted, context);
    side_query(session_statement(STATEMENT_GUESS_ALL), 1, parameters, guessed, context);
    side_query(session_statement(STATEMENT_COUNT_SENT), 0, NULL, counted_sent, context);
    free(name);
}

static void
on_limit(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    answer();
}

void
status_handle(struct channel *from, const struct message *message)
{
    (void)from;
    answer();
    status.request = message->status.request;
    status.question++;
    memset(status.counts, 0, sizeof(status.counts));
    status.has_sent = false;
    service_timer_start(status.limit, LIMIT_MS);
    session_await(begin, (void *)(uintptr_t)status.question);
}

void
status_open(void)
{
    status.limit = service_timer(on_limit, NULL);
}
