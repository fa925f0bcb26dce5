#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "pickup/base.h"
#include "pickup/pass.h"
#include "pickup/run.h"

/* True where a file that inotify told of may be offered now. */
static bool
is_fresh(struct base *base, const struct candidate *candidate)
{
    uint64_t key = known_key(candidate->place, candidate->name);
    struct known_file *file = known_find(&base->known, key);

    if (file == NULL)
        return true;
    switch ((enum known_kind)file->kind) {
    case KNOWN_IN_HAND:
        file->again = true;
        return false;
    case KNOWN_PARKED:
        return false;
    case KNOWN_UNTIL:
        break;
    }
    return true;
}

/* The NUMBERth of the fresh ones, the oldest being 0. */
static struct candidate *
fresh_at(struct base *base, size_t number)
{
    return &base->fresh[(base->fresh_first + number) % BASE_FRESH_MAX];
}

static bool
take_fresh(struct base *base, struct candidate *candidate)
{
    while (base->fresh_count > 0) {
        *candidate = *fresh_at(base, --base->fresh_count);
        if (is_fresh(base, candidate))
            return true;
        free(candidate->name);
    }
    return false;
}

/* True where a file of the chunk was not taken by way of inotify meanwhile. */
static bool
is_free(const struct base *base, const struct candidate *candidate)
{
    const struct known_file *file =
        known_find(&base->known, known_key(candidate->place, candidate->name));

    return file == NULL || file->kind != KNOWN_IN_HAND;
}

static bool
take_chunk(struct base *base, struct candidate *candidate)
{
    while (base->chunk_at < base->chunk_count) {
        *candidate = base->chunk[base->chunk_at++];
        if (is_free(base, candidate))
            return true;
        free(candidate->name);
    }
    return false;
}

/* The places take turns, so that a flood in one does not keep the other from being looked at. */
static bool
take_scanned(struct base *base, struct candidate *candidate, bool *again)
{
    if (take_chunk(base, candidate))
        return true;
    for (int turn = 0; turn < 2; turn++) {
        base->pass_turn = 1 - base->pass_turn;
        if (!pass_fill(base, base->pass_turn == 0 ? MAIL_WAITING : MAIL_DEFERRED))
            continue;
        *again = true;
        return take_chunk(base, candidate);
    }
    return false;
}

bool
base_next(struct base *base, struct candidate *candidate, bool *again)
{
    *again = false;
    if (base->queue == NULL)
        return false;
    for (int turn = 0; turn < 2; turn++) {
        base->fresh_turn = !base->fresh_turn;
        if (base->fresh_turn ? take_fresh(base, candidate) : take_scanned(base, candidate, again))
            return true;
    }
    return false;
}

void
base_note_missed(struct base *base)
{
    base->passes[MAIL_WAITING].wanted = true;
    base->passes[MAIL_WAITING].missed = true;
}

void
base_note_fresh(struct base *base, const char *name)
{
    if (!queue_name_is_mail(base->queue, name))
        return;
    /* In a flood the oldest give way: the passes, which go by age, find them. */
    if (base->fresh_count == BASE_FRESH_MAX) {
        free(fresh_at(base, 0)->name);
        base->fresh_first = (base->fresh_first + 1) % BASE_FRESH_MAX;
        base->fresh_count--;
        base_note_missed(base);
    }
    *fresh_at(base, base->fresh_count++) =
        (struct candidate){.place = MAIL_WAITING, .name = memory_copy_text(name)};
}

void
base_want_passes(struct base *base)
{
    base->passes[MAIL_WAITING].wanted = true;
    base->passes[MAIL_DEFERRED].wanted = true;
}

void
base_want_parked(struct base *base, uint32_t account, uint32_t count)
{
    size_t at = 0;

    base->passes[MAIL_WAITING].whole = false;
    base->passes[MAIL_DEFERRED].whole = false;
    while (at < base->wanted_count && base->wanted[at].account != account)
        at++;
    if (at == base->wanted_count) {
        base->wanted = memory_resize(base->wanted, at + 1, sizeof(base->wanted[0]));
        base->wanted_count++;
    }
    base->wanted[at] = (struct wanted){account, count};
}

void
base_note_unparked(struct base *base, const struct known_file *file)
{
    if (file->kind != KNOWN_PARKED)
        return;
    base->parked--;
    service_send(service_peer(ROLE_QMGR, 0),
        &(struct message){.type = MESSAGE_UNPARKED,
            .unparked = {.queue = base->number, .account = file->account, .count = 1}});
}

void
base_forget(struct base *base, uint64_t key)
{
    struct known_file *file = known_find(&base->known, key);

    if (file == NULL)
        return;
    base_note_unparked(base, file);
    run_note_gone(file);
    known_remove(&base->known, key);
}

static void
note_earliest(int64_t *due, int64_t until)
{
    if (*due == 0 || until < *due)
        *due = until;
}

void
base_note_due(struct base *base, enum mail_state place, int64_t until)
{
    struct pass *pass = &base->passes[place];

    if (until == INT64_MAX)
        return;
    if (until < 1)
        until = 1;
    note_earliest(&pass->due, until);
    note_earliest(&pass->due_next, until);
}

static void
drop_chunk(struct base *base)
{
    while (base->chunk_at < base->chunk_count)
        free(base->chunk[base->chunk_at++].name);
}

static void
close_scan(struct pass *pass)
{
    if (pass->scan != NULL)
        queue_scan_close(pass->scan);
    pass->scan = NULL;
}

void
base_begin_run(struct base *base, struct run *run)
{
    drop_chunk(base);
    for (size_t i = 0; i < 2; i++) {
        close_scan(&base->passes[i]);
        base->passes[i].wanted = true;
        base->passes[i].for_run = true;
    }
    base->run = run;
}

bool
base_run_found(const struct base *base)
{
    return !base->passes[MAIL_WAITING].for_run && !base->passes[MAIL_DEFERRED].for_run &&
           base->chunk_at == base->chunk_count;
}

static void
note_earlier(int64_t *wakeup, int64_t candidate)
{
    if (candidate < 0)
        candidate = 0;
    if (*wakeup < 0 || candidate < *wakeup)
        *wakeup = candidate;
}

int64_t
base_wakeup(const struct base *base)
{
    int64_t wakeup = -1;

    if (base->queue == NULL)
        return -1;
    for (size_t i = 0; i < 2; i++) {
        const struct pass *pass = &base->passes[i];
        int64_t rest = pass_rests_until(pass) - clock_monotonic_ms();
        int64_t due = pass->due - clock_now_ms();

        if (base->wanted_count > 0 && !pass->whole)
            note_earlier(&wakeup, pass->waited_for_not_before - clock_monotonic_ms());
        if (pass->wanted)
            note_earlier(&wakeup, rest);
        else if (pass->due != 0)
            note_earlier(&wakeup, due > rest ? due : rest);
    }
    return wakeup;
}

void
base_reset(struct base *base)
{
    uint32_t number = base->number;

    drop_chunk(base);
    while (base->fresh_count > 0)
        free(fresh_at(base, --base->fresh_count)->name);
    close_scan(&base->passes[MAIL_WAITING]);
    close_scan(&base->passes[MAIL_DEFERRED]);
    known_free(&base->known);
    free(base->wanted);
    if (base->queue != NULL)
        queue_close(base->queue);
    memset(base, 0, sizeof(*base));
    base->number = number;
    base->watch = -1;
}
