#include <inttypes.h>

#include "lib/log.h"
#include "lib/service.h"
#include "pickup/answer.h"
#include "pickup/bases.h"
#include "pickup/in_hand.h"
#include "pickup/offer.h"
#include "pickup/run.h"

void
answer_handle_room(struct channel *from, const struct message *message)
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

/* True where another mail has that name in PLACE, so that the one that came got a new one, which
 * the next pass finds. What is known of it is kept, unless that may be of a file which somebody
 * moved away: then the pass reads the records of both. */
static bool
is_another(struct base *base, enum mail_state place, const char *name)
{
    uint64_t key = known_key(place, name);
    const struct known_file *file = known_find(&base->known, key);

    if (file != NULL && file->kind == KNOWN_UNTIL && file->run == 0)
        known_remove(&base->known, key);
    return file != NULL;
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
    if (place != job->place && is_another(base, place, job->name)) {
        base_note_due(base, place, until);
    } else if (stays || service_on_demand()) {
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
answer_handle_finished(struct channel *from, const struct message *message)
{
    struct job *job = in_hand_find(message->finished.job);
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
        run_note_end(job->run, end, message->finished.status);
    offer_wake(job->base);
    in_hand_free(job);
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
    run_note_end(run, JOB_SKIPPED, 0);
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
answer_handle_parked(struct channel *from, const struct message *message)
{
    struct job *job = in_hand_find(message->parked.job);
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
    in_hand_free(job);
    offer_pump();
}

void
answer_handle_wanted(struct channel *from, const struct message *message)
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
