#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <bsd/string.h>

#include "lib/memory.h"
#include "lib/service.h"
#include "sql/side.h"

/* A connection without work is kept so long. */
#define IDLE_MS 30000

struct waiting {
    STAILQ_ENTRY(waiting) next;
    char *sql;
    int count;
    char *parameters[DATABASE_PARAMETERS_MOST];
    database_answer answer;
    void *context;
};

static struct {
    struct database *database;
    STAILQ_HEAD(waiting_list, waiting) waiting;
    struct event *idle;
    char problem[500];
} side;

const char *
side_problem(void)
{
    return side.problem[0] != '\0' ? side.problem : "the connection broke";
}

static void
free_waiting(struct waiting *waiting)
{
    for (int i = 0; i < waiting->count; i++)
        free(waiting->parameters[i]);
    free(waiting->sql);
    free(waiting);
}

static void
on_connected(void)
{
    struct waiting *waiting;

    side.problem[0] = '\0';
    database_query(side.database,
        "SELECT set_config('statement_timeout', '60000', false),"
        " set_config('lock_timeout', '3000', false)",
        0, NULL, NULL, NULL);
    while (database_is_up(side.database) && (waiting = STAILQ_FIRST(&side.waiting)) != NULL) {
        STAILQ_REMOVE_HEAD(&side.waiting, next);
        database_query(side.database, waiting->sql, waiting->count,
            (const char *const *)waiting->parameters, waiting->answer, waiting->context);
        free_waiting(waiting);
    }
}

static void
on_lost(const char *reason)
{
    struct waiting_list waiting = STAILQ_HEAD_INITIALIZER(waiting);
    struct waiting *each;

    strlcpy(side.problem, reason, sizeof(side.problem));
    STAILQ_CONCAT(&waiting, &side.waiting);
    while ((each = STAILQ_FIRST(&waiting)) != NULL) {
        STAILQ_REMOVE_HEAD(&waiting, next);
        each->answer(each->context, NULL);
        free_waiting(each);
    }
}

void
side_query(const char *sql, int count, const char *const *parameters, database_answer answer,
    void *context)
{
    struct waiting *waiting;

    service_timer_start(side.idle, IDLE_MS);
    if (database_is_up(side.database)) {
        database_query(side.database, sql, count, parameters, answer, context);
        return;
    }
    waiting = memory_new(1, sizeof(*waiting));
    waiting->sql = memory_copy_text(sql);
    waiting->count = count;
    for (int i = 0; i < count; i++)
        waiting->parameters[i] = parameters[i] == NULL ? NULL : memory_copy_text(parameters[i]);
    waiting->answer = answer;
    waiting->context = context;
    STAILQ_INSERT_TAIL(&side.waiting, waiting, next);
    database_connect(side.database);
}

static void
on_idle(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    if (database_backlog(side.database) > 0)
        service_timer_start(side.idle, IDLE_MS);
    else
        database_close(side.database);
}

void
side_open(const char *conninfo)
{
    static const struct database_events EVENTS = {on_connected, on_lost, NULL};

    STAILQ_INIT(&side.waiting);
    side.idle = service_timer(on_idle, NULL);
    side.database = database_new(conninfo, &EVENTS);
}
