#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <bsd/string.h>

#include "lib/memory.h"
#include "lib/service.h"
#include "lib/text.h"
#include "sql/claim.h"
#include "sql/drain.h"
#include "sql/offer.h"
#include "sql/record.h"
#include "sql/release.h"
#include "sql/session.h"

/* So many senders a claim looks at, see STATEMENT_CLAIM. */
#define SENDERS_LOOKED 32

/* Senders that are left out at the most; with more, nothing is claimed until some are wanted. */
#define PARKED_MOST 4096

/* The first characters of a sender, as octets, and one more. */
#define CURSOR_SIZE 512

struct parked {
    char *sender;
    uint32_t account;
    uint32_t rows; /* that came back */
    bool held;
};

static struct {
    struct row_list rows;
    size_t count;
    char cursor[CURSOR_SIZE]; /* the sender that comes next */
    struct parked *parked;
    size_t parked_count;
    bool allowed;
    bool stopped;
    bool busy;
    bool fresh_waiting; /* somebody woke it since the cursor began */
    bool fresh_due; /* and since the last claim of deferred rows */
    bool asked_next;
    bool want_waiting;
    bool want_due;
    bool due_turn;
    bool found; /* something, since the cursor began */
    int64_t forced;
    char looked[24]; /* when the database was last asked what is due next, by its clock */
    struct event *next;
} claim;

static void ask_next(void);

static int64_t
batch(void)
{
    return (int64_t)session_queue()->batch;
}

size_t
claim_parked(void)
{
    size_t rows = 0;

    for (size_t i = 0; i < claim.parked_count; i++)
        rows += claim.parked[i].rows;
    return rows;
}

size_t
claim_count(void)
{
    return claim.count;
}

bool
claim_is_busy(void)
{
    return claim.busy;
}

struct row *
claim_next(void)
{
    struct row *row = TAILQ_FIRST(&claim.rows);

    if (row == NULL)
        return NULL;
    TAILQ_REMOVE(&claim.rows, row, next);
    claim.count--;
    return row;
}

void
claim_put_back(struct row *row)
{
    TAILQ_INSERT_HEAD(&claim.rows, row, next);
    claim.count++;
}

void
claim_add_keys(struct array *keys)
{
    const struct row *row;

    TAILQ_FOREACH(row, &claim.rows, next)
    array_add(keys, row->key);
}

void
claim_forget(void)
{
    struct row *row;

    while ((row = claim_next()) != NULL)
        row_free(row);
}

void
claim_stop(void)
{
    struct row *row;

    claim.stopped = true;
    while ((row = claim_next()) != NULL)
        release_row(row, 0);
}

/* ---- senders that are left out ---- */

static char *
list_parked(void)
{
    struct array array;

    array_open(&array);
    for (size_t i = 0; i < claim.parked_count; i++)
        array_add(&array, claim.parked[i].sender);
    return array_close(&array);
}

void
claim_park(const char *sender, uint32_t account, bool held)
{
    struct parked *parked = NULL;

    for (size_t i = 0; i < claim.parked_count && parked == NULL; i++) {
        if (claim.parked[i].account == account && strcmp(claim.parked[i].sender, sender) == 0)
            parked = &claim.parked[i];
    }
    if (parked == NULL && claim.parked_count < PARKED_MOST) {
        claim.parked = memory_resize(claim.parked, claim.parked_count + 1, sizeof(*claim.parked));
        parked = &claim.parked[claim.parked_count++];
        *parked = (struct parked){.sender = memory_copy_text(sender), .account = account};
    }
    if (parked == NULL)
        return;
    parked->rows++;
    parked->held = held;
}

uint32_t
claim_want(uint32_t account)
{
    size_t kept = 0;
    uint32_t rows = 0;

    for (size_t i = 0; i < claim.parked_count; i++) {
        if (claim.parked[i].account != account) {
            claim.parked[kept++] = claim.parked[i];
            continue;
        }
        rows += claim.parked[i].rows;
        free(claim.parked[i].sender);
    }
    claim.parked_count = kept;
    claim_wake();
    return rows;
}

void
claim_hold(uint32_t account)
{
    for (size_t i = 0; i < claim.parked_count; i++) {
        if (claim.parked[i].account == account)
            claim.parked[i].held = true;
    }
}

static bool
is_anything_parked(void)
{
    for (size_t i = 0; i < claim.parked_count; i++) {
        if (!claim.parked[i].held)
            return true;
    }
    return false;
}

bool
claim_is_exhausted(void)
{
    return session_serves() && !claim.busy && !claim.want_waiting && !claim.want_due &&
           claim.count == 0 && !is_anything_parked();
}

/* ---- claiming ---- */

void
claim_wake(void)
{
    claim.want_waiting = claim.fresh_waiting = true;
    claim.want_due = claim.fresh_due = true;
    claim_pump();
}

void
claim_allow(bool allowed)
{
    claim.allowed = allowed;
    claim_wake();
}

void
claim_force(int64_t since)
{
    claim.forced = since;
    claim_wake();
}

static void
take_row(const PGresult *result, int number)
{
    uint64_t most = (uint64_t)service_configuration()->settings.max_message_size;
    struct row *row = row_make(result, number, most);

    if (claim.stopped) {
        release_row(row, 0);
        return;
    }
    row->era = session_era();
    if (offer_has_lost(row->key) || record_knows(row->key)) {
        release_row(row, session_queue()->lease);
        return;
    }
    TAILQ_INSERT_TAIL(&claim.rows, row, next);
    claim.count++;
}

/* Goes on behind the last sender that was looked at, or begins again; a turn that found nothing is
 * the last one until there is something new. */
static void
move_cursor(const PGresult *result, int looked, int last)
{
    if (looked == SENDERS_LOOKED) {
        text_format(
            claim.cursor, sizeof(claim.cursor), "%s\x01", PQgetvalue(result, last, ROW_SENDER));
        return;
    }
    if (!claim.found)
        claim.want_waiting = claim.fresh_waiting;
    claim.found = false;
    claim.cursor[0] = '\0';
}

/* The answer to a claim of WHAT; false where there is none. */
static bool
begin_answer(const char *what, const PGresult *result)
{
    claim.busy = false;
    if (result == NULL)
        return false;
    if (database_succeeded(result))
        return true;
    session_note_failure(what, result);
    return false;
}

static void
end_answer(void)
{
    offer_pump();
    drain_check();
}

static void
claimed_waiting(void *context, const PGresult *result)
{
    int looked = 0;
    int last = 0;

    (void)context;
    if (!begin_answer("claim rows", result))
        return;
    for (int i = 0; i < PQntuples(result); i++) {
        if (!PQgetisnull(result, i, ROW_KEY)) {
            take_row(result, i);
            claim.found = true;
        } else {
            looked++;
            last = i;
        }
    }
    move_cursor(result, looked, last);
    end_answer();
}

static void
claimed_due(void *context, const PGresult *result)
{
    (void)context;
    if (!begin_answer("claim deferred rows", result))
        return;
    for (int i = 0; i < PQntuples(result); i++)
        take_row(result, i);
    if (PQntuples(result) == 0)
        claim.want_due = claim.fresh_due;
    end_answer();
}

static void
begin(void)
{
    char count[24];
    char since[24];
    char *parked = list_parked();
    bool due = claim.want_due && (claim.due_turn || !claim.want_waiting);
    const char *waiting_parameters[] = {claim.cursor, count, parked};
    const char *due_parameters[] = {count, parked, since};

    text_format(count, sizeof(count), "%" PRId64, batch() - (int64_t)claim.count);
    text_format(since, sizeof(since), "%" PRId64, claim.forced);
    claim.busy = true;
    claim.asked_next = false;
    claim.due_turn = !due;
    if (due)
        claim.fresh_due = false;
    else if (claim.cursor[0] == '\0')
        claim.fresh_waiting = false;
    if (!due)
        session_query_own(STATEMENT_CLAIM, 3, waiting_parameters, claimed_waiting, NULL);
    else if (claim.forced != 0)
        session_query_own(STATEMENT_CLAIM_FORCED, 3, due_parameters, claimed_due, NULL);
    else
        session_query_own(STATEMENT_CLAIM_DUE, 2, due_parameters, claimed_due, NULL);
    free(parked);
}

void
claim_pump(void)
{
    if (!session_serves() || !claim.allowed || claim.stopped || claim.busy ||
        (int64_t)claim.count > batch() / 2 || claim.parked_count == PARKED_MOST ||
        offer_waits_for_cleanup())
        return;
    if (claim.want_waiting || claim.want_due)
        begin();
    else
        ask_next();
}

/* ---- when there will be something ---- */

void
claim_expect(int64_t milliseconds)
{
    struct timeval now;
    struct timeval due;
    int64_t wait = milliseconds > 1 ? milliseconds : 1;

    if (wait > service_configuration()->settings.scan_interval)
        return;
    if (evtimer_pending(claim.next, &due) && gettimeofday(&now, NULL) == 0 &&
        (due.tv_sec - now.tv_sec) * 1000 + (due.tv_usec - now.tv_usec) / 1000 <= wait)
        return;
    service_timer_start(claim.next, wait);
}

static void
told_next(void *context, const PGresult *result)
{
    (void)context;
    if (!database_succeeded(result) || PQntuples(result) != 1)
        return;
    strlcpy(claim.looked, PQgetvalue(result, 0, 0), sizeof(claim.looked));
    if (!PQgetisnull(result, 0, 1))
        claim_expect(strtoll(PQgetvalue(result, 0, 1), NULL, 10) + 1);
}

static void
ask_next(void)
{
    const char *parameters[] = {claim.looked};

    if (claim.asked_next)
        return;
    claim.asked_next = true;
    session_query(STATEMENT_NEXT, 1, parameters, told_next, NULL);
}

static void
on_next(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    claim_wake();
}

void
claim_open(void)
{
    TAILQ_INIT(&claim.rows);
    strlcpy(claim.looked, "0", sizeof(claim.looked));
    claim.next = service_timer(on_next, NULL);
    claim.want_waiting = claim.want_due = true;
    claim.allowed = !service_on_demand();
}
