#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/log.h"
#include "lib/service.h"
#include "pickup/bases.h"
#include "pickup/cleanups.h"
#include "pickup/in_hand.h"
#include "pickup/offer.h"
#include "pickup/run.h"
#include "pickup/suspects.h"

/* Mails offered before other events get their turn. */
#define BURST 64

/* How long a file is left alone that may not be opened, and one for which something was missing
 * that may be there again soon: a descriptor, memory, a disk that answers. */
#define UNREADABLE_MS 60000
#define FAILED_MS 5000

#define TOO_LARGE "the file is larger than max_message_size"

static struct {
    TAILQ_HEAD(, base) active;
    struct event *soon;
    bool stopped;
} offers;

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
    struct job *job = in_hand_take(&number);
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
note_problem(struct finding *finding, const char *problem)
{
    strlcpy(finding->problem, problem, sizeof(finding->problem));
}

/* Opens what the mail has beside its file; without it, cleanup has no use for the file. False where
 * it cannot be opened now, which says nothing of the mail. */
static bool
find_data(struct base *base, struct finding *finding, struct error *error)
{
    uint64_t size;

    if (finding->descriptor < 0)
        return true;
    switch (queue_mail_find_data(base->queue, &finding->identity, &finding->data, &size, error)) {
    case QUEUE_FOUND:
        return true;
    case QUEUE_FOUND_TOO_LARGE:
        note_problem(finding, TOO_LARGE);
        break;
    case QUEUE_FOUND_OTHER:
    case QUEUE_FOUND_GONE:
        note_problem(finding, error->text);
        break;
    case QUEUE_FOUND_FAILED:
        break;
    }
    close(finding->descriptor);
    finding->descriptor = -1;
    return finding->problem[0] != '\0';
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

/* A candidate that cannot be read now is looked at again later. */
static void
leave_unreadable(struct base *base, const struct candidate *candidate, const struct error *error)
{
    bool forbidden = error->code == EACCES || error->code == EPERM;

    log_warn("%s/%s: %s", queue_section(base->queue), queue_sid(base->queue), error->text);
    leave_alone(base, candidate, clock_now_ms() + (forbidden ? UNREADABLE_MS : FAILED_MS));
}

/* A mail with strikes, which was too many to be kept, is looked at again later. */
static void
keep_suspect(struct base *base, const struct candidate *candidate)
{
    if (suspects_add(base, candidate))
        return;
    leave_alone(base, candidate, clock_now_ms() + UNREADABLE_MS);
    free(candidate->name);
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
        leave_unreadable(base, candidate, &error);
        return false;
    }
    if (!find_data(base, finding, &error)) {
        leave_unreadable(base, candidate, &error);
        return false;
    }
    finding->hash = queue_mail_hash(base->queue, &finding->identity);
    queue_mail_record(base->queue, &finding->identity, clock_now_ms(), &finding->record);
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
        keep_suspect(base, candidate);
    else
        send_offer(base, candidate, &finding, instance);
    if (finding.descriptor >= 0)
        close(finding.descriptor);
    if (finding.data >= 0)
        close(finding.data);
}

/* A suspect goes when its cleanup has nothing else in hand, and nothing after it until then. */
static void
offer_suspect(void)
{
    struct suspect suspect;

    if (cleanups_last_is_idle() && suspects_take(&suspect))
        offer_candidate(suspect.base, &suspect.candidate, cleanups_last());
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
