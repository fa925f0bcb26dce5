#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "pickup/pass.h"
#include "pickup/run.h"

/* Names looked at in one go. */
#define STEP 2048

/* After a pass its directory rests so many times as long as it looked in vain, so that a large one
 * does not keep a processor; where mails wait that it is known to find, no longer than that. */
#define REST_FACTOR 20
#define REST_LEAST_MS 20
#define REST_WAITED_FOR_FACTOR 1
#define REST_WAITED_FOR_LEAST_MS 5

/* A clock that was set back by less than this and the retry interval only makes waiting longer, by
 * as much. */
#define JUMP_MS 60000

int64_t
pass_rests_until(const struct pass *pass)
{
    return pass->missed ? pass->waited_for_not_before : pass->not_before;
}

static bool
is_wanted(const struct base *base)
{
    return base->wanted_count > 0;
}

static bool
is_time(const struct pass *pass)
{
    return pass->due != 0 && pass->due <= clock_now_ms();
}

/* True where a pass over everything is to be made. */
static bool
wants_all(const struct pass *pass)
{
    if (!pass->wanted && !is_time(pass))
        return false;
    return pass->for_run || clock_monotonic_ms() >= pass_rests_until(pass);
}

/* The same for one that only looks for parked mails. */
static bool
wants_parked(const struct base *base, const struct pass *pass)
{
    return is_wanted(base) && !pass->whole && clock_monotonic_ms() >= pass->waited_for_not_before;
}

bool
pass_is_due(const struct base *base, enum mail_state place)
{
    const struct pass *pass = &base->passes[place];

    if (base->queue == NULL)
        return false;
    if (pass->scan != NULL && (!pass->only_parked || is_wanted(base)))
        return true;
    return wants_all(pass) || wants_parked(base, pass);
}

static bool
begin(struct base *base, enum mail_state place)
{
    struct pass *pass = &base->passes[place];
    struct error error;

    pass->only_parked = !wants_all(pass);
    pass->whole = true;
    pass->spent = 0;
    if (!pass->only_parked) {
        pass->wanted = false;
        pass->missed = false;
        pass->due_next = 0;
        pass->number++;
    }
    pass->scan = queue_scan_open(base->queue, place, &error);
    if (pass->scan == NULL) {
        log_warn("%s/%s: %s", queue_section(base->queue), queue_sid(base->queue), error.text);
        pass->due = 0;
        pass->for_run = false;
        pass->not_before = pass->waited_for_not_before = clock_monotonic_ms() + 1000;
    }
    return pass->scan != NULL;
}

/* Forgets the files that were not seen. */
static void
prune(struct base *base, enum mail_state place)
{
    struct known *known = &base->known;
    uint8_t number = base->passes[place].number;

    for (size_t at = 0; at < known->size; at++) {
        /* Forgetting one may bring another here. */
        while (at < known->size && known_is_stale(&known->files[at], place, number))
            base_forget(base, known->files[at].key);
    }
}

static void
end(struct base *base, enum mail_state place)
{
    struct pass *pass = &base->passes[place];

    queue_scan_close(pass->scan);
    pass->scan = NULL;
    pass->waited_for_not_before =
        clock_monotonic_ms() + pass->spent * REST_WAITED_FOR_FACTOR + REST_WAITED_FOR_LEAST_MS;
    if (!pass->only_parked) {
        pass->not_before = clock_monotonic_ms() + pass->spent * REST_FACTOR + REST_LEAST_MS;
        prune(base, place);
        pass->due = pass->due_next;
        pass->for_run = pass->wanted && pass->for_run;
    }
    if (base->passes[MAIL_WAITING].whole && base->passes[MAIL_DEFERRED].whole &&
        base->passes[MAIL_WAITING].scan == NULL && base->passes[MAIL_DEFERRED].scan == NULL)
        base->wanted_count = 0;
}

static void
note_due(struct pass *pass, int64_t until)
{
    if (pass->due_next == 0 || until < pass->due_next)
        pass->due_next = until;
}

/* Takes one of what is wanted of ACCOUNT; false where nothing is. */
static bool
take_wanted(struct base *base, uint32_t account)
{
    for (size_t i = 0; i < base->wanted_count; i++) {
        if (base->wanted[i].account != account)
            continue;
        if (--base->wanted[i].count == 0)
            base->wanted[i] = base->wanted[--base->wanted_count];
        return true;
    }
    return false;
}

/* True where UNTIL (ms since 1970) has come, or is further away than anything is ever put off: the
 * clock was set back meanwhile. */
static bool
is_past(const struct base *base, int64_t until)
{
    int64_t longest = service_configuration()->queues[base->number].interval;
    int64_t now = clock_now_ms();

    return until <= now || (until != INT64_MAX && until - now > longest + JUMP_MS);
}

/* True where a file that is known is to be offered all the same. */
static bool
is_candidate(struct base *base, struct pass *pass, struct known_file *file)
{
    switch ((enum known_kind)file->kind) {
    case KNOWN_IN_HAND:
        run_adopt(base->run, file);
        return false;
    case KNOWN_PARKED:
        if (file->held)
            run_note_held(run_number(base));
        else
            run_adopt(base->run, file);
        return take_wanted(base, file->account);
    case KNOWN_UNTIL:
        if (is_past(base, file->until) || run_forces(base->run, file))
            return true;
        note_due(pass, file->until);
        return false;
    }
    return false;
}

/* True where a file in defer/ that is met for the first time has its time come. */
static bool
is_due(struct base *base, struct pass *pass, const struct mail_identity *identity, uint64_t key)
{
    struct mail_record record;
    struct known_file *file;
    int64_t now = clock_now_ms();

    queue_mail_record(base->queue, identity, now, &record);
    if (record.next_try <= now || run_forces(base->run, NULL))
        return true;
    file = known_add(&base->known, key);
    file->kind = KNOWN_UNTIL;
    file->until = record.next_try;
    file->place = (uint8_t)identity->place;
    file->pass = pass->number;
    note_due(pass, record.next_try);
    return false;
}

/* Puts NAME into the chunk where it is a candidate. */
static void
consider(struct base *base, enum mail_state place, const char *name)
{
    struct pass *pass = &base->passes[place];
    uint64_t key = known_key(place, name);
    struct known_file *file = known_find(&base->known, key);
    struct mail_identity identity;

    if (file != NULL) {
        file->pass = pass->number;
        if (!run_selects(base->run, name) || !is_candidate(base, pass, file))
            return;
    } else if (pass->only_parked || !run_selects(base->run, name)) {
        return;
    }
    if (queue_mail_find(base->queue, place, name, &identity, NULL, NULL) == QUEUE_FOUND_GONE)
        return;
    if (place == MAIL_DEFERRED && file == NULL && !is_due(base, pass, &identity, key))
        return;
    base->chunk[base->chunk_count++] =
        (struct candidate){place, identity.order[0], memory_copy_text(name), identity.order[1]};
}

static int
compare_age(const void *a, const void *b)
{
    const struct candidate *first = a;
    const struct candidate *second = b;

    if (first->order != second->order)
        return first->order < second->order ? -1 : 1;
    if (first->second != second->second)
        return first->second < second->second ? -1 : 1;
    return strcmp(first->name, second->name);
}

/* A pass that rests makes way for one over everything. */
static bool
ensure_scan(struct base *base, enum mail_state place)
{
    struct pass *pass = &base->passes[place];

    if (pass->scan != NULL && pass->only_parked && wants_all(pass)) {
        queue_scan_close(pass->scan);
        pass->scan = NULL;
    }
    return pass->scan != NULL || begin(base, place);
}

/* Reads on until the chunk is full, the pass is over, or it took long enough for one time. Returns
 * how many names it looked at. */
static size_t
read_names(struct base *base, enum mail_state place)
{
    struct pass *pass = &base->passes[place];
    char name[QUEUE_NAME_SIZE];
    struct error error;
    size_t seen = 0;

    for (; seen < STEP && base->chunk_count < BASE_CHUNK_MAX; seen++) {
        if (pass->only_parked && !is_wanted(base))
            break;
        if (queue_scan_next(pass->scan, name, &error)) {
            consider(base, place, name);
            continue;
        }
        if (error.text[0] != '\0')
            log_warn("%s/%s: %s", queue_section(base->queue), queue_sid(base->queue), error.text);
        end(base, place);
        break;
    }
    return seen;
}

bool
pass_fill(struct base *base, enum mail_state place)
{
    struct pass *pass = &base->passes[place];
    int64_t began = clock_monotonic_ms();
    size_t seen;

    if (!pass_is_due(base, place) || !ensure_scan(base, place))
        return false;
    base->chunk_at = 0;
    base->chunk_count = 0;
    seen = read_names(base, place);
    if (seen > 0)
        pass->spent +=
            (clock_monotonic_ms() - began) * (int64_t)(seen - base->chunk_count) / (int64_t)seen;
    qsort(base->chunk, base->chunk_count, sizeof(base->chunk[0]), compare_age);
    return base->chunk_count > 0 || pass->scan != NULL;
}
