#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "lib/text.h"
#include "sql/journal.h"
#include "sql/session.h"

/* The gaps between attempts to connect; the last one is a part of the lease, so that a host is back
 * before others take over what it had. */
#define GAP_FIRST_MS 100
#define GAP_MOST_MS 15000

/* An answer that takes so long is told as a problem. */
#define SLOW_MS 10000
#define CHECK_MS 1000

struct waiter {
    struct waiter *next;
    void (*call)(void *context);
    void *context;
};

static struct {
    const struct session_events *events;
    const struct queue_settings *queue;
    uint32_t number;
    struct database *database;
    struct table *table;
    char *statements[STATEMENT_KINDS];
    char session[33]; /* tells this connection from others of the same claimant */
    bool registered;
    bool was_registered;
    uint32_t era;
    int64_t since; /* ms, monotonic: it serves */
    int64_t asked; /* when the lease under way was asked for */
    int64_t until; /* what qmgr was told of the lease */
    int64_t gap;
    struct event *connect;
    struct event *renew;
    struct event *check;
    char problem[500];
    char trouble[500];
    bool is_slow;
    struct waiter *waiters;
} session;

bool
session_prepare(void)
{
    const struct configuration *configuration = service_configuration();

    for (size_t i = 0; i < configuration->queue_count; i++) {
        const struct queue_settings *queue = &configuration->queues[i];

        if (queue->kind != SECTION_SQL || queue->instance != service_instance())
            continue;
        session.queue = queue;
        session.number = (uint32_t)i;
        return true;
    }
    return false;
}

const struct queue_settings *
session_queue(void)
{
    return session.queue;
}

uint32_t
session_queue_number(void)
{
    return session.number;
}

const char *
session_problem(void)
{
    return session.problem[0] != '\0' ? session.problem : session.trouble;
}

const struct table *
session_table(void)
{
    return session.table;
}

/* Already false while a broken connection's queries are answered. */
bool
session_serves(void)
{
    return session.registered && database_is_up(session.database);
}

int64_t
session_age(void)
{
    return session_serves() ? clock_monotonic_ms() - session.since : 0;
}

uint32_t
session_era(void)
{
    return session.era;
}

const char *
session_statement(enum statement statement)
{
    return session.statements[statement];
}

void
session_query(enum statement statement, int count, const char *const *parameters,
    database_answer answer, void *context)
{
    database_query(
        session.database, session.statements[statement], count, parameters, answer, context);
}

void
session_query_own(enum statement statement, int count, const char *const *parameters,
    database_answer answer, void *context)
{
    const char *all[DATABASE_PARAMETERS_MOST] = {journal_claimant(), session.session};

    if (count > 0)
        memcpy(all + 2, parameters, (size_t)count * sizeof(*parameters));
    session_query(statement, count + 2, all, answer, context);
}

/* ---- problems ---- */

static void
call_waiters(void)
{
    struct waiter *waiter;

    while ((waiter = session.waiters) != NULL) {
        session.waiters = waiter->next;
        waiter->call(waiter->context);
        free(waiter);
    }
}

static void
set_problem(const char *words)
{
    if (strcmp(session.problem, words) == 0)
        return;
    if (words[0] != '\0')
        log_error("%s: %s", session.queue->section, words);
    else
        log_info("%s: can be used again", session.queue->section);
    strlcpy(session.problem, words, sizeof(session.problem));
}

void
session_note_trouble(const char *words)
{
    if (strcmp(session.trouble, words) != 0 && words[0] != '\0')
        log_error("%s: %s", session.queue->section, words);
    strlcpy(session.trouble, words, sizeof(session.trouble));
}

void
session_await(void (*call)(void *context), void *context)
{
    struct waiter *waiter;

    if (session.registered || session.problem[0] != '\0') {
        call(context);
        return;
    }
    waiter = memory_new(1, sizeof(*waiter));
    *waiter = (struct waiter){session.waiters, call, context};
    session.waiters = waiter;
}

/* Gives the connection up because of what happened, in WORDS. */
static void
give_up(const char *words)
{
    database_fail(session.database, words);
}

void
session_note_failure(const char *what, const PGresult *result)
{
    char words[400];
    char whole[500];

    if (!database_is_up(session.database))
        return;
    database_words(result, words, sizeof(words));
    text_format(whole, sizeof(whole), "%s: %s", what, words);
    give_up(whole);
}

static void
on_lost(const char *reason)
{
    int64_t most = session.queue->lease / 4 < GAP_MOST_MS ? session.queue->lease / 4 : GAP_MOST_MS;
    bool served = session.registered;

    session.registered = false;
    event_del(session.renew);
    set_problem(reason);
    if (served)
        session.events->ended();
    service_timer_start(session.connect, session.gap);
    session.gap = session.gap * 2 < most ? session.gap * 2 : most;
    call_waiters();
}

static void
on_connect(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    database_connect(session.database);
}

void
session_hurry(void)
{
    session.gap = GAP_FIRST_MS;
    if (!database_is_up(session.database))
        database_connect(session.database);
}

/* ---- the lease ---- */

static void
tell_lease(int64_t until_ms)
{
    service_send(service_peer(ROLE_QMGR, 0),
        &(struct message){.type = MESSAGE_LEASE,
            .lease = {.queue = session.number, .until_ns = until_ms * 1000000}});
}

/* The database began to count after it was asked, so it holds at least until a lease after that;
 * what is begun a quarter before is over by then. */
static void
note_lease(void)
{
    session.until = session.asked + session.queue->lease - session.queue->lease / 4;
    tell_lease(session.until);
    service_timer_start(session.renew, session.queue->lease / 4);
}

void
session_tell_lease(void)
{
    if (session.registered)
        tell_lease(session.until);
}

/* What was claimed until now is not this host's any more. */
static void
lose_rows(void)
{
    session.era++;
    session.was_registered = false;
    tell_lease(0);
}

void
session_note_replaced(void)
{
    if (!database_is_up(session.database))
        return;
    lose_rows();
    give_up("the lease is over, or another smailer has this one's state_directory");
}

static void
renewed(void *context, const PGresult *result)
{
    (void)context;
    if (result == NULL)
        return;
    if (!database_succeeded(result))
        session_note_failure("renew the lease", result);
    else if (PQntuples(result) == 0)
        session_note_replaced();
    else
        note_lease();
}

static void
on_renew(evutil_socket_t descriptor, short what, void *context)
{
    char lease[24];
    const char *parameters[] = {lease};

    (void)descriptor;
    (void)what;
    (void)context;
    if (!session_serves())
        return;
    text_format(lease, sizeof(lease), "%" PRId64, session.queue->lease);
    session.asked = clock_monotonic_ms();
    session_query_own(STATEMENT_RENEW, 1, parameters, renewed, NULL);
}

static void
registered(void *context, const PGresult *result)
{
    (void)context;
    if (result == NULL)
        return;
    if (!database_succeeded(result) || PQntuples(result) != 1) {
        session_note_failure("register this host", result);
        return;
    }
    if (session.was_registered && PQgetvalue(result, 0, 0)[0] != 't')
        lose_rows();
    session.registered = session.was_registered = true;
    session.since = clock_monotonic_ms();
    session.gap = GAP_FIRST_MS;
    set_problem("");
    note_lease();
    session.events->began();
    call_waiters();
}

static void
register_claimant(void)
{
    char host[65] = "";
    char lease[24];
    const char *parameters[] = {host, lease};
    unsigned char random[16];

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        memset(random, 0, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++)
        text_format(session.session + 2 * i, 3, "%02x", random[i]);
    gethostname(host, sizeof(host) - 1);
    text_format(lease, sizeof(lease), "%" PRId64, session.queue->lease);
    session.asked = clock_monotonic_ms();
    session_query_own(STATEMENT_REGISTER, 2, parameters, registered, NULL);
}

/* ---- from the connection to the table ---- */

static void
make_statements(void)
{
    for (size_t i = 0; i < STATEMENT_KINDS; i++) {
        free(session.statements[i]);
        session.statements[i] = statement_make((enum statement)i, session.table, session.queue);
    }
}

static void
listen_for_rows(void)
{
    char *channel = statement_channel(session.table);
    char *quoted = statement_quote(channel);
    char *text = memory_format("LISTEN %s", quoted);

    database_query(session.database, text, 0, NULL, NULL, NULL);
    free(text);
    free(quoted);
    free(channel);
}

static void
described(void *context, const PGresult *result)
{
    struct error error;
    struct table *table;

    (void)context;
    if (result == NULL)
        return;
    if (!database_succeeded(result)) {
        session_note_failure("look at the table", result);
        return;
    }
    table = table_read(result, session.queue, &error);
    if (table == NULL) {
        give_up(error.text);
        return;
    }
    table_free(session.table);
    session.table = table;
    make_statements();
    if (!table->is_ready) {
        error_set(&error, "what smailer needs beside the table is not there: smailer --sid=%s init",
            session.queue->section);
        give_up(error.text);
        return;
    }
    if (journal_claimant()[0] == '\0') {
        give_up("there is no place for the journal, see the log");
        return;
    }
    if (!service_on_demand())
        listen_for_rows();
    register_claimant();
}

static void
settled(void *context, const PGresult *result)
{
    (void)context;
    if (result != NULL && !database_succeeded(result))
        session_note_failure("set up the session", result);
}

/* Statistics of a queue are always old, so the plans are left no choice: the indexes. A commit that
 * a crash of the database undoes would give rows in hand to others. */
static void
on_connected(void)
{
    char timeout[24];
    char *name = table_quote_name(session.queue);
    const char *parameters[] = {name, session.queue->key};
    const char *limits[] = {timeout};

    text_format(timeout, sizeof(timeout), "%" PRId64, session.queue->lease);
    database_query(session.database,
        "SELECT set_config('enable_seqscan', 'off', false),"
        " set_config('enable_bitmapscan', 'off', false),"
        " set_config('enable_hashjoin', 'off', false),"
        " set_config('enable_mergejoin', 'off', false), set_config('jit', 'off', false),"
        " set_config('statement_timeout', $1, false), set_config('lock_timeout', '3000', false),"
        " set_config('default_transaction_isolation', 'read committed', false),"
        " set_config('synchronous_commit', coalesce("
        "nullif(current_setting('synchronous_commit'), 'off'), 'on'), false)",
        1, limits, settled, NULL);
    if (database_is_up(session.database))
        database_query(session.database, TABLE_QUESTION, 1, parameters, described, NULL);
    free(name);
}

/* ---- a database that hangs ---- */

static void
on_check(evutil_socket_t descriptor, short what, void *context)
{
    int64_t wait = database_wait(session.database);
    char words[100];

    (void)descriptor;
    (void)what;
    (void)context;
    service_timer_start(session.check, CHECK_MS);
    if (wait > session.queue->lease) {
        give_up("the database does not answer");
    } else if (wait > SLOW_MS) {
        text_format(
            words, sizeof(words), "the database takes more than %d s to answer", SLOW_MS / 1000);
        session.is_slow = true;
        session_note_trouble(words);
    } else if (session.is_slow) {
        session.is_slow = false;
        session_note_trouble("");
    }
}

static void
on_notified(void)
{
    if (session.registered)
        session.events->notified();
}

void
session_open(const struct session_events *events)
{
    static const struct database_events DATABASE_EVENTS = {on_connected, on_lost, on_notified};

    session.events = events;
    session.gap = GAP_FIRST_MS;
    session.connect = service_timer(on_connect, NULL);
    session.renew = service_timer(on_renew, NULL);
    session.check = service_timer(on_check, NULL);
    session.database = database_new(session.queue->conninfo, &DATABASE_EVENTS);
    database_connect(session.database);
    service_timer_start(session.check, CHECK_MS);
}
