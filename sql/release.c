#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/service.h"
#include "lib/text.h"
#include "sql/array.h"
#include "sql/claim.h"
#include "sql/drain.h"
#include "sql/release.h"
#include "sql/session.h"

static struct {
    struct row_list rows;
    size_t under_way;
    struct event *soon;
} release;

bool
release_is_busy(void)
{
    return session_serves() && (release.under_way > 0 || !TAILQ_EMPTY(&release.rows));
}

static void
released(void *context, const PGresult *result)
{
    (void)context;
    release.under_way--;
    if (result != NULL && !database_succeeded(result))
        session_note_failure("give rows back", result);
    else if (result != NULL)
        claim_wake();
    drain_check();
}

static void
send_keys(struct array *keys, int64_t later)
{
    char milliseconds[24];
    char *list = array_close(keys);
    const char *parameters[] = {list, milliseconds};

    text_format(milliseconds, sizeof(milliseconds), "%" PRId64, later);
    if (session_serves()) {
        release.under_way++;
        session_query_own(STATEMENT_RELEASE, 2, parameters, released, NULL);
    }
    free(list);
}

static void
on_soon(evutil_socket_t descriptor, short what, void *context)
{
    struct array keys;
    struct row *row;

    (void)descriptor;
    (void)what;
    (void)context;
    if (TAILQ_EMPTY(&release.rows))
        return;
    array_open(&keys);
    while ((row = TAILQ_FIRST(&release.rows)) != NULL) {
        TAILQ_REMOVE(&release.rows, row, next);
        array_add(&keys, row->key);
        row_free(row);
    }
    send_keys(&keys, 0);
}

void
release_row(struct row *row, int64_t later)
{
    struct array keys;

    if (row->era != session_era()) {
        row_free(row);
        return;
    }
    if (later == 0) {
        TAILQ_INSERT_TAIL(&release.rows, row, next);
        service_timer_start(release.soon, 0);
        return;
    }
    array_open(&keys);
    array_add(&keys, row->key);
    send_keys(&keys, later);
    row_free(row);
}

void
release_forget(void)
{
    struct row *row;

    while ((row = TAILQ_FIRST(&release.rows)) != NULL) {
        TAILQ_REMOVE(&release.rows, row, next);
        row_free(row);
    }
}

void
release_open(void)
{
    TAILQ_INIT(&release.rows);
    release.soon = service_timer(on_soon, NULL);
}
