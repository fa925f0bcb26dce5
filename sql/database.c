#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sysexits.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "sql/database.h"

struct query {
    STAILQ_ENTRY(query) next;
    database_answer answer;
    void *context;
    PGresult *result; /* until the transaction is over */
    int64_t since; /* ms, monotonic */
};

/* What the thread that connects works on. */
struct attempt {
    const char *conninfo;
    PGconn *connection;
    int done; /* an eventfd */
};

struct database {
    const char *conninfo;
    const struct database_events *events;
    struct attempt *attempt;
    struct event *attempted;
    PGconn *connection;
    struct event *readable;
    struct event *writable;
    STAILQ_HEAD(query_list, query) queries;
    size_t count;
};

struct database *
database_new(const char *conninfo, const struct database_events *events)
{
    struct database *database = memory_new(1, sizeof(*database));

    database->conninfo = conninfo;
    database->events = events;
    STAILQ_INIT(&database->queries);
    return database;
}

bool
database_is_up(const struct database *database)
{
    return database->connection != NULL;
}

size_t
database_backlog(const struct database *database)
{
    return database->count;
}

int64_t
database_wait(const struct database *database)
{
    const struct query *first = STAILQ_FIRST(&database->queries);

    return first == NULL ? 0 : clock_monotonic_ms() - first->since;
}

bool
database_succeeded(const PGresult *result)
{
    ExecStatusType status = result == NULL ? PGRES_FATAL_ERROR : PQresultStatus(result);

    return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

static void
copy_line(char *target, size_t size, const char *words)
{
    strlcpy(target, words, size);
    for (char *at = target; *at != '\0'; at++) {
        if (*at == '\n')
            *at = ' ';
    }
    for (size_t length = strlen(target); length > 0 && target[length - 1] == ' '; length--)
        target[length - 1] = '\0';
}

void
database_words(const PGresult *result, char *target, size_t size)
{
    const char *words = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (words == NULL)
        words = result == NULL ? "the connection broke" : PQresultErrorMessage(result);
    copy_line(target, size, words);
}

/* ---- the end of a connection ---- */

static void
answer(struct query *query, const PGresult *result)
{
    if (query->answer != NULL)
        query->answer(query->context, result);
    if (query->result != NULL)
        PQclear(query->result);
    free(query);
}

static void
close_connection(struct database *database)
{
    struct query_list queries = STAILQ_HEAD_INITIALIZER(queries);
    struct query *query;

    if (database->connection == NULL)
        return;
    event_free(database->readable);
    event_free(database->writable);
    PQfinish(database->connection);
    database->connection = NULL;
    STAILQ_CONCAT(&queries, &database->queries);
    database->count = 0;
    while ((query = STAILQ_FIRST(&queries)) != NULL) {
        STAILQ_REMOVE_HEAD(&queries, next);
        answer(query, NULL);
    }
}

void
database_close(struct database *database)
{
    close_connection(database);
}

void
database_fail(struct database *database, const char *reason)
{
    char words[500];

    copy_line(words, sizeof(words), reason);
    close_connection(database);
    database->events->lost(words);
}

/* ---- at work ---- */

static void
flush(struct database *database)
{
    int left = PQflush(database->connection);

    if (left < 0)
        database_fail(database, PQerrorMessage(database->connection));
    else if (left > 0 && event_add(database->writable, NULL) != 0)
        fatal(EX_OSERR, "a connection cannot be waited for");
}

static void
end_query(struct database *database)
{
    struct query *query = STAILQ_FIRST(&database->queries);

    if (query == NULL)
        return;
    STAILQ_REMOVE_HEAD(&database->queries, next);
    database->count--;
    answer(query, query->result);
}

/* An error that a commit brings comes behind the result. */
static void
keep_result(struct database *database, PGresult *result)
{
    struct query *query = STAILQ_FIRST(&database->queries);

    if (query == NULL) {
        PQclear(result);
        return;
    }
    if (query->result != NULL)
        PQclear(query->result);
    query->result = result;
}

/* An answer may end the connection. */
static void
take_results(struct database *database)
{
    bool nothing = false;

    while (database->connection != NULL && database->count > 0 && !PQisBusy(database->connection)) {
        PGresult *result = PQgetResult(database->connection);

        if (result == NULL && nothing)
            return;
        nothing = result == NULL;
        if (result == NULL)
            continue;
        if (PQresultStatus(result) != PGRES_PIPELINE_SYNC) {
            keep_result(database, result);
            continue;
        }
        PQclear(result);
        end_query(database);
    }
}

static void
take_notifications(struct database *database)
{
    PGnotify *notification;
    bool any = false;

    while (
        database->connection != NULL && (notification = PQnotifies(database->connection)) != NULL) {
        PQfreemem(notification);
        any = true;
    }
    if (any && database->events->notified != NULL)
        database->events->notified();
}

static void
on_readable(evutil_socket_t descriptor, short what, void *context)
{
    struct database *database = context;

    (void)descriptor;
    (void)what;
    if (PQconsumeInput(database->connection) == 0) {
        take_results(database);
        if (database->connection != NULL)
            database_fail(database, PQerrorMessage(database->connection));
        return;
    }
    take_results(database);
    take_notifications(database);
    if (database->connection != NULL && PQstatus(database->connection) != CONNECTION_OK)
        database_fail(database, PQerrorMessage(database->connection));
}

static void
on_writable(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    flush(context);
}

void
database_query(struct database *database, const char *sql, int count, const char *const *parameters,
    database_answer answer_function, void *context)
{
    struct query *query;

    if (database->connection == NULL) {
        if (answer_function != NULL)
            answer_function(context, NULL);
        return;
    }
    query = memory_new(1, sizeof(*query));
    query->answer = answer_function;
    query->context = context;
    query->since = clock_monotonic_ms();
    STAILQ_INSERT_TAIL(&database->queries, query, next);
    database->count++;
    if (PQsendQueryParams(database->connection, sql, count, NULL, parameters, NULL, NULL, 0) == 0 ||
        PQpipelineSync(database->connection) == 0) {
        database_fail(database, PQerrorMessage(database->connection));
        return;
    }
    flush(database);
}

/* ---- connecting ---- */

static void
ignore_notice(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

static void *
connect_in_thread(void *context)
{
    /* What stands before dbname, the configuration overrides; what stands behind it, holds. */
    static const char *const NAMES[] = {"connect_timeout", "keepalives_idle", "keepalives_interval",
        "keepalives_count", "tcp_user_timeout", "gssencmode", "dbname", "client_encoding",
        "application_name", NULL};
    struct attempt *attempt = context;
    const char *const values[] = {
        "10", "30", "10", "3", "30000", "disable", attempt->conninfo, "UTF8", "smailer", NULL};
    const uint64_t one = 1;

    attempt->connection = PQconnectdbParams(NAMES, values, 1);
    if (write(attempt->done, &one, sizeof(one)) != sizeof(one))
        log_error("wake the loop: %s", strerror(errno));
    return NULL;
}

static void
serve(struct database *database, PGconn *connection)
{
    int descriptor = PQsocket(connection);

    database->connection = connection;
    PQsetNoticeReceiver(connection, ignore_notice, NULL);
    database->readable =
        event_new(service_base(), descriptor, EV_READ | EV_PERSIST, on_readable, database);
    database->writable = event_new(service_base(), descriptor, EV_WRITE, on_writable, database);
    if (database->readable == NULL || database->writable == NULL ||
        event_add(database->readable, NULL) != 0)
        fatal(EX_OSERR, "a connection cannot be waited for");
    if (PQsetnonblocking(connection, 1) != 0 || PQenterPipelineMode(connection) == 0)
        database_fail(database, PQerrorMessage(connection));
    else
        database->events->connected();
}

static void
on_attempted(evutil_socket_t descriptor, short what, void *context)
{
    struct database *database = context;
    struct attempt *attempt = database->attempt;
    PGconn *connection = attempt->connection;
    char words[500];

    (void)what;
    event_free(database->attempted);
    close(descriptor);
    free(attempt);
    database->attempt = NULL;
    if (connection == NULL)
        fatal(EX_OSERR, "out of memory: a connection");
    if (PQstatus(connection) == CONNECTION_OK) {
        serve(database, connection);
        return;
    }
    copy_line(words, sizeof(words), PQerrorMessage(connection));
    PQfinish(connection);
    database->events->lost(words);
}

void
database_connect(struct database *database)
{
    struct attempt *attempt;
    pthread_t thread;

    if (database->connection != NULL || database->attempt != NULL)
        return;
    attempt = memory_new(1, sizeof(*attempt));
    attempt->conninfo = database->conninfo;
    attempt->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    database->attempt = attempt;
    database->attempted = event_new(service_base(), attempt->done, EV_READ, on_attempted, database);
    if (attempt->done < 0 || database->attempted == NULL ||
        event_add(database->attempted, NULL) != 0 ||
        pthread_create(&thread, NULL, connect_in_thread, attempt) != 0)
        fatal(EX_OSERR, "a thread that connects cannot be started");
    pthread_detach(thread);
}
