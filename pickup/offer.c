#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "pickup/bases.h"
#include "pickup/cleanups.h"
#include "pickup/offer.h"
#include "pickup/run.h"

/* Mails offered before other events get their turn. */
#define BURST 64

/* How long a file is left alone that could not be opened. */
#define UNREADABLE_MS 60000

#define SUSPECTS_MAX 1000

#define TOO_LARGE "the file is larger than max_message_size"

/* A mail in qmgr's hand. Its number is its place here, and above that how often the place was
 * used, so that a late answer never hits another mail. */
struct job {
    uint32_t use;
    bool used;
    struct base *base;
    enum mail_state place;
    uint64_t key;
    int64_t next_try; /* what its record says, ms */
    uint32_t run;
    char *name;
};

/* A mail with strikes, which waits until it can be parsed alone. */
struct suspect {
    struct base *base;
    struct candidate candidate;
};

static struct {
    struct job *jobs;
    uint32_t job_count;
    uint32_t *free_jobs;
    uint32_t free_count;
    TAILQ_HEAD(, base) active;
    struct suspect suspects[SUSPECTS_MAX];
    size_t suspect_count;
    struct event *soon;
    bool stopped;
} offers;

static struct job *
take_job(uint64_t *number)
{
    struct job *job;
    uint32_t place;

    if (offers.free_count == 0) {
        uint32_t larger = offers.job_count == 0 ? 256 : offers.job_count * 2;

        offers.jobs = memory_resize(offers.jobs, larger, sizeof(*offers.jobs));
        offers.free_jobs = memory_resize(offers.free_jobs, larger, sizeof(*offers.free_jobs));
        memset(
            offers.jobs + offers.job_count, 0, (larger - offers.job_count) * sizeof(*offers.jobs));
        for (uint32_t i = larger; i > offers.job_count; i--)
            offers.free_jobs[offers.free_count++] = i - 1;
        offers.job_count = larger;
    }
    place = offers.free_jobs[--offers.free_count];
    job = &offers.jobs[place];
    job->used = true;
    /* What is above is not pickup's, see job_number.h. */
    job->use = (job->use + 1) & 0x00FFFFFFU;
    *number = (uint64_t)job->use << 32 | place;
    return job;
}

static struct job *
find_job(uint64_t number)
{
    uint32_t place = (uint32_t)number;

    if (place >= offers.job_count || !offers.jobs[place].used ||
        offers.jobs[place].use != (uint32_t)(number >> 32))
        return NULL;
    return &offers.jobs[place];
}

static void
free_job(struct job *job)
{
    free(job->name);
    job->name = NULL;
    job->used = false;
    offers.free_jobs[offers.free_count++] = (uint32_t)(job - offers.jobs);
}

/* Remembers a file that is not to be looked at for a while. */
static void
leave_alone(struct base *base, const struct candidate *candidate, int64_t until)
{
    uint64_t key = known_key(candidate->place, candidate->name);
    struct known_file *file;

    base_forget(base, key);
    file = known_add(&base->known, key);
    file->kind = KNOWN_UNTIL;
    file->until = until;
    file->place = (uint8_t)candidate->place;
    file->pass = base->passes[candidate->place].number;
}

/* Marks the file as being in hand, and returns the run that it is offered for. */
static uint32_t
note_in_hand(struct base *base, const struct candidate *candidate, uint64_t key, uint32_t *unparked)
{
    struct known_file *file = known_add(&base->known, key);

    *unparked = 0;
    if (file->kind == KNOWN_PARKED) {
        *unparked = file->account + 1;
        base->parked--;
    }
    file->kind = KNOWN_IN_HAND;
    file->place = (uint8_t)candidate->place;
    file->again = false;
    run_adopt(base->run, file);
    base->in_hand++;
    return file->run;
}

/* What pickup found out about a mail. */
struct finding {
    struct mail_identity identity;
    struct mail_record record;
    uint64_t hash;
    char problem[256]; /* why it cannot be sent, "": it can */
    int descriptor; /* -1 where cleanup has no use for it */
    int data; /* of an mqueue */
};

static void
send_offer(struct base *base, struct candidate *candidate, const struct finding *finding,
    uint32_t instance)
{
    uint64_t number;
    uint32_t unparked;
    struct job *job = take_job(&number);
    const struct mail_identity *identity = &finding->identity;

    job->base = base;
    job->place = candidate->place;
    job->key = known_key(candidate->place, candidate->name);
    job->next_try = finding->record.next_try;
    job->run = note_in_hand(base, candidate, job->key, &unparked);
    job->name = candidate->name;
    service_send(service_peer(ROLE_QMGR, 0), &(struct message){.type = MESSAGE_OFFER,
                                                 .offer = {.job = number,
                                                     .queue = base->number,
                                                     .cleanup = instance,
                                                     .incarnation = cleanups_incarnation(instance),
                                                     .state = candidate->place,
                                                     .strikes = finding->record.strikes,
                                                     .run = job->run,
                                                     .unparked = unparked,
                                                     .hash = finding->hash,
                                                     .name = identity->name,
                                                     .device = identity->device,
                                                     .inode = identity->inode,
                                                     .size = identity->size,
                                                     .mtime_ns = identity->mtime_ns,
                                                     .attempts = finding->record.attempts,
                                                     .order = identity->order[0],
                                                     .problem = finding->problem}});
    base->room--;
    if (finding->descriptor >= 0)
        cleanups_parse(instance, &(struct message_parse){.job = number,
                                     .purpose = PARSE_DELIVER,
                                     .mqueue = bases_mqueue(base),
                                     .hash = finding->hash,
                                     .mtime_ns = identity->mtime_ns,
                                     .file = finding->descriptor,
                                     .data = finding->data});
}

static void
add_suspect(struct base *base, const struct candidate *candidate)
{
    uint64_t key = known_key(candidate->place, candidate->name);
    struct known_file *file;

    if (offers.suspect_count == SUSPECTS_MAX) {
        leave_alone(base, candidate, clock_now_ms() + UNREADABLE_MS);
        free(candidate->name);
        return;
    }
    file = known_add(&base->known, key);
    base_note_unparked(base, file);
    /* As good as in hand: neither inotify nor a pass is to bring it again. */
    file->kind = KNOWN_IN_HAND;
    file->place = (uint8_t)candidate->place;
    file->again = false;
    run_adopt(base->run, file);
    offers.suspects[offers.suspect_count++] = (struct suspect){base, *candidate};
}

static void
note_problem(struct finding *finding, const char *problem)
{
    strlcpy(finding->problem, problem, sizeof(finding->problem));
}

/* Opens what the mail has beside its file; without it, cleanup has no use for the file. */
static void
find_data(struct base *base, struct finding *finding)
{
    struct error error;
    uint64_t size;

    if (finding->descriptor < 0)
        return;
    switch (queue_mail_find_data(base->queue, &finding->identity, &finding->data, &size, &error)) {
    case QUEUE_FOUND:
        return;
    case QUEUE_FOUND_TOO_LARGE:
        note_problem(finding, TOO_LARGE);
        break;
    default:
        note_problem(finding, error.text);
        break;
    }
    close(finding->descriptor);
    finding->descriptor = -1;
}

/* In an mqueue a new file may be a mail that was tried before: the next pass finds it. */
static void
look_for_deferred(struct base *base, const struct candidate *candidate)
{
    struct mail_identity identity;

    if (bases_mqueue(base) != 0 && candidate->place == MAIL_WAITING &&
        known_find(&base->known, known_key(MAIL_DEFERRED, candidate->name)) == NULL &&
        queue_mail_find(base->queue, MAIL_DEFERRED, candidate->name, &identity, NULL, NULL) ==
            QUEUE_FOUND)
        base->passes[MAIL_DEFERRED].wanted = true;
}

/* Opens the candidate and finds out who it is. False where there is nothing to offer. */
static bool
examine(struct base *base, const struct candidate *candidate, struct finding *finding)
{
    struct error error;

    memset(finding, 0, sizeof(*finding));
    finding->descriptor = -1;
    finding->data = -1;
    switch (queue_mail_find(base->queue, candidate->place, candidate->name, &finding->identity,
        &finding->descriptor, &error)) {
    case QUEUE_FOUND:
        break;
    case QUEUE_FOUND_TOO_LARGE:
        note_problem(finding, TOO_LARGE);
        break;
    case QUEUE_FOUND_OTHER:
        note_problem(finding, "not a regular file");
        break;
    case QUEUE_FOUND_GONE:
        look_for_deferred(base, candidate);
        base_forget(base, known_key(candidate->place, candidate->name));
        return false;
    case QUEUE_FOUND_FAILED:
        log_warn("%s/%s: %s", queue_section(base->queue), queue_sid(base->queue), error.text);
        leave_alone(base, candidate, clock_now_ms() + UNREADABLE_MS);
        return false;
    }
    finding->hash = queue_mail_hash(base->queue, &finding->identity);
    queue_mail_record(base->queue, &finding->identity, clock_now_ms(), &finding->record);
    find_data(base, finding);
    return true;
}

/* Offers a candidate, which is owned from now on. */
static void
offer_candidate(struct base *base, struct candidate *candidate, uint32_t instance)
{
    struct finding finding;

    if (!examine(base, candidate, &finding)) {
        free(candidate->name);
        return;
    }
    if (finding.record.strikes > 0 && instance != cleanups_last())
        add_suspect(base, candidate);
    else
        send_offer(base, candidate, &finding, instance);
    if (finding.descriptor >= 0)
        close(finding.descriptor);
    if (finding.data >= 0)
        close(finding.data);
}

/* The first suspect that qmgr would take: a base that cannot be used holds up no other's. */
static size_t
find_suspect(void)
{
    size_t at = 0;

    while (at < offers.suspect_count &&
           (offers.suspects[at].base->room == 0 || offers.suspects[at].base->queue == NULL))
        at++;
    return at;
}

/* A suspect goes when its cleanup has nothing else in hand, and nothing after it until then. */
static void
offer_suspect(void)
{
    size_t at = find_suspect();
    struct suspect suspect;

    if (at == offers.suspect_count || !cleanups_last_is_idle())
        return;
    suspect = offers.suspects[at];
    offers.suspect_count--;
    memmove(offers.suspects + at, offers.suspects + at + 1,
        (offers.suspect_count - at) * sizeof(suspect));
    offer_candidate(suspect.base, &suspect.candidate, cleanups_last());
}

bool
offer_has_suspects(void)
{
    return find_suspect() < offers.suspect_count;
}

void
offer_wake(struct base *base)
{
    if (base->active)
        return;
    base->active = true;
    TAILQ_INSERT_TAIL(&offers.active, base, active_next);
}

/* One mail of the base whose turn it is. */
static void
offer_one(uint32_t instance)
{
    struct base *base = TAILQ_FIRST(&offers.active);
    struct candidate candidate;
    bool again = false;

    TAILQ_REMOVE(&offers.active, base, active_next);
    base->active = false;
    if (base->room == 0)
        return;
    if (base_next(base, &candidate, &again)) {
        offer_candidate(base, &candidate, instance);
        offer_wake(base);
    } else if (again) {
        offer_wake(base);
    }
}

void
offer_pump(void)
{
    struct channel *qmgr = service_peer(ROLE_QMGR, 0);
    uint32_t instance;
    int left = BURST;

    if (offers.stopped || qmgr == NULL)
        return;
    while (left-- > 0 && !TAILQ_EMPTY(&offers.active) && channel_backlog(qmgr) == 0 &&
           cleanups_choose(&instance))
        offer_one(instance);
    offer_suspect();
    run_check();
    bases_plan_wakeup();
    if (!TAILQ_EMPTY(&offers.active) && cleanups_choose(&instance))
        service_timer_start(offers.soon, channel_backlog(qmgr) == 0 ? 0 : 1);
}

static void
on_soon(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    offer_pump();
}

void
offer_open(void)
{
    TAILQ_INIT(&offers.active);
    offers.soon = service_timer(on_soon, NULL);
}

void
offer_stop(void)
{
    offers.stopped = true;
}

void
offer_handle_room(struct channel *from, const struct message *message)
{
    struct base *base = bases_get(message->room.queue);

    (void)from;
    if (base == NULL)
        return;
    base->room += message->room.count;
    offer_wake(base);
    offer_pump();
}

/* When a file that left qmgr's hands so may be offered again: INT64_MAX for never. */
static int64_t
time_after(const struct job *job, const struct message_finished *finished)
{
    switch ((enum job_end)finished->end) {
    case JOB_DEFERRED:
    case JOB_LATER:
        return finished->next_try;
    case JOB_STRUCK:
    case JOB_AGAIN:
        return 0;
    case JOB_SKIPPED:
        return job->place == MAIL_DEFERRED && !service_on_demand() ? job->next_try : INT64_MAX;
    case JOB_SENT: /* it is still there where it was sent in testing only */
    case JOB_DROPPED:
        return INT64_MAX;
    case JOB_SPLIT:
    case JOB_GONE:
        break;
    }
    return 0;
}

/* It is not at its end: the same mail is offered anew at once. */
static bool
is_offered_again(const struct message_finished *finished)
{
    return finished->end == JOB_AGAIN || finished->end == JOB_STRUCK;
}

/* What is known of the file from now on. */
static void
remember_end(struct job *job, const struct message_finished *finished)
{
    static const bool STAYS[] = {[JOB_DEFERRED] = true,
        [JOB_LATER] = true,
        [JOB_STRUCK] = true,
        [JOB_AGAIN] = true,
        [JOB_SKIPPED] = true,
        [JOB_GONE] = false};
    struct base *base = job->base;
    struct known_file *file = known_find(&base->known, job->key);
    bool again = file != NULL && file->again;
    bool awaited = file != NULL && file->awaited && is_offered_again(finished);
    bool stays = finished->end < sizeof(STAYS) / sizeof(STAYS[0]) && STAYS[finished->end];
    enum mail_state place = finished->end == JOB_DEFERRED ? MAIL_DEFERRED : job->place;
    int64_t until = time_after(job, finished);

    known_remove(&base->known, job->key);
    if (stays || service_on_demand()) {
        file = known_add(&base->known, known_key(place, job->name));
        file->kind = KNOWN_UNTIL;
        file->until = until;
        file->place = (uint8_t)place;
        file->pass = base->passes[place].number;
        file->run = job->run;
        file->awaited = awaited;
        base_note_due(base, place, until);
    }
    if (finished->end == JOB_GONE || finished->end == JOB_SPLIT)
        base->passes[job->place].wanted = true;
    if (finished->end == JOB_SPLIT)
        run_look_again(job->run, base);
    if (again || (is_offered_again(finished) && job->place == MAIL_WAITING))
        base_note_fresh(base, job->name);
}

/* A run that began while the mail was in hand has counted it in. */
static void
learn_run(struct job *job)
{
    const struct known_file *file = known_find(&job->base->known, job->key);

    if (file != NULL)
        job->run = file->run;
}

void
offer_handle_finished(struct channel *from, const struct message *message)
{
    struct job *job = find_job(message->finished.job);
    enum job_end end = (enum job_end)message->finished.end;

    (void)from;
    if (job == NULL) {
        log_error("qmgr finished job %" PRIu64 ", which it was not offered", message->finished.job);
        return;
    }
    job->base->in_hand--;
    if (end == JOB_STRUCK && job->base->queue != NULL)
        queue_note_strike(job->base->queue);
    learn_run(job);
    remember_end(job, &message->finished);
    if (job->run != 0 && !is_offered_again(&message->finished))
        run_note_end(job->run, end);
    offer_wake(job->base);
    free_job(job);
    service_worked();
    offer_pump();
}

/* A run does not wait for what waits for a quota. */
static void
leave_run(const struct job *job, struct known_file *file)
{
    uint32_t run = file != NULL ? file->run : job->run;

    if (file != NULL) {
        file->run = 0;
        file->awaited = false;
    }
    if (run == 0)
        return;
    run_note_held(run);
    run_note_end(run, JOB_SKIPPED);
}

static void
hold_parked(struct base *base, uint32_t account)
{
    for (size_t i = 0; i < base->known.size; i++) {
        struct known_file *file = &base->known.files[i];

        if (!file->used || file->kind != KNOWN_PARKED || file->account != account || file->held)
            continue;
        file->held = true;
        leave_run(NULL, file);
    }
}

void
offer_handle_parked(struct channel *from, const struct message *message)
{
    struct job *job = find_job(message->parked.job);
    struct known_file *file;

    (void)from;
    if (job == NULL)
        return;
    file = known_find(&job->base->known, job->key);
    if (file != NULL) {
        file->kind = KNOWN_PARKED;
        file->account = message->parked.account;
        file->held = message->parked.held != 0;
        file->pass = job->base->passes[job->place].number;
    }
    job->base->in_hand--;
    job->base->parked++;
    if (message->parked.held != 0)
        leave_run(job, file);
    offer_wake(job->base);
    free_job(job);
    offer_pump();
}

void
offer_handle_wanted(struct channel *from, const struct message *message)
{
    struct base *base = bases_get(message->wanted.queue);

    (void)from;
    if (base == NULL)
        return;
    if (message->wanted.count == 0) {
        hold_parked(base, message->wanted.account);
        run_check();
        return;
    }
    base_want_parked(base, message->wanted.account, message->wanted.count);
    offer_wake(base);
    offer_pump();
}
