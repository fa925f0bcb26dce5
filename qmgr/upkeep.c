#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/text.h"
#include "qmgr/upkeep.h"

#define RECOVERY_SLICE 256 /* files */
#define SPLIT_SLICE 256 /* documents */
#define SWEEP_SLICE 500 /* directory entries */
#define WORDS_SIZE 100 /* of what is said of files that belong to no mail, without their names */
/* ms until a recovery that failed is tried again; the gap doubles each time, up to the most. */
#define RECOVERY_GAP_FIRST INT64_C(1000)
#define RECOVERY_GAP_MOST INT64_C(60000)

struct upkeep {
    struct queue *queue;
    const struct committer_options *options;
    struct queue_recovery *recovery; /* NULL: none under way */
    bool recovery_needed;
    int64_t recovery_due;
    int64_t recovery_gap; /* 0: the last one did not fail */
    struct commit *splits; /* the first one is under way if split is not NULL */
    struct commit **splits_end;
    struct queue_split *split;
    struct queue_sweep *sweep; /* NULL: none under way */
    int64_t sweep_due;
    struct commit *swept; /* what it finds */
    size_t alone; /* files that belong to no mail, */
    bool told; /* and such were found by the sweep before */
};

struct upkeep *
upkeep_new(struct queue *queue, const struct committer_options *options)
{
    struct upkeep *upkeep = memory_new(1, sizeof(*upkeep));

    upkeep->queue = queue;
    upkeep->options = options;
    upkeep->splits_end = &upkeep->splits;
    upkeep->recovery_needed = true;
    return upkeep;
}

void
upkeep_free(struct upkeep *upkeep)
{
    queue_recovery_end(upkeep->recovery);
    queue_split_end(upkeep->split);
    queue_sweep_end(upkeep->sweep);
    free(upkeep->swept);
    queue_close(upkeep->queue);
    free(upkeep);
}

struct queue *
upkeep_queue(const struct upkeep *upkeep)
{
    return upkeep->queue;
}

void
upkeep_add_split(struct upkeep *upkeep, struct commit *commit)
{
    commit->next = NULL;
    *upkeep->splits_end = commit;
    upkeep->splits_end = &commit->next;
}

bool
upkeep_has_splits(const struct upkeep *upkeep)
{
    return upkeep->splits != NULL;
}

int64_t
upkeep_due(const struct upkeep *upkeep, int64_t now)
{
    int64_t due = upkeep->sweep_due;

    if (upkeep->splits != NULL || upkeep->sweep != NULL || upkeep->recovery != NULL)
        return now;
    if (upkeep->recovery_needed && upkeep->recovery_due < due)
        due = upkeep->recovery_due;
    return due;
}

static void
need_recovery(struct upkeep *upkeep, int64_t due)
{
    if (!upkeep->recovery_needed || due < upkeep->recovery_due)
        upkeep->recovery_due = due;
    upkeep->recovery_needed = true;
}

static int64_t
longer_gap(int64_t gap)
{
    if (gap == 0)
        return RECOVERY_GAP_FIRST;
    return gap < RECOVERY_GAP_MOST / 2 ? 2 * gap : RECOVERY_GAP_MOST;
}

static void
slice_recovery(struct upkeep *upkeep, int64_t now)
{
    struct error error;
    enum queue_result result;

    if (upkeep->recovery == NULL)
        upkeep->recovery = queue_recovery_begin(upkeep->queue);
    result = queue_recovery_step(upkeep->recovery, clock_now_ms(), RECOVERY_SLICE, &error);
    if (result == QUEUE_MORE)
        return;
    queue_recovery_end(upkeep->recovery);
    upkeep->recovery = NULL;
    upkeep->recovery_needed = false;
    upkeep->recovery_gap = result == QUEUE_DONE ? 0 : longer_gap(upkeep->recovery_gap);
    if (result == QUEUE_DONE)
        return;
    need_recovery(upkeep, now + upkeep->recovery_gap);
    log_error("recovering the queue %s: %s", queue_path(upkeep->queue), error.text);
}

static struct commit *
finish_split(struct upkeep *upkeep, enum queue_result result)
{
    struct commit *commit = upkeep->splits;

    commit->result = result;
    commit->outcome = MAIL_WAITING;
    if (upkeep->split != NULL)
        commit->documents = (uint32_t)queue_split_documents(upkeep->split);
    queue_split_end(upkeep->split);
    upkeep->split = NULL;
    upkeep->splits = commit->next;
    if (upkeep->splits == NULL)
        upkeep->splits_end = &upkeep->splits;
    commit->next = NULL;
    return commit;
}

static struct commit *
slice_split(struct upkeep *upkeep, int64_t now)
{
    struct commit *commit = upkeep->splits;
    enum queue_result result = QUEUE_FAILED;

    if (upkeep->split == NULL)
        upkeep->split =
            queue_split_begin(upkeep->queue, &commit->identity, commit->descriptor, &commit->error);
    if (upkeep->split != NULL)
        result = queue_split_step(upkeep->split, SPLIT_SLICE, &commit->error);
    if (result == QUEUE_MORE)
        return NULL;
    if (result == QUEUE_FAILED && upkeep->split != NULL)
        need_recovery(upkeep, now);
    return finish_split(upkeep, result);
}

/* The id of a sent mail is not recorded; the file's time stands in for the mail's, and the hash in
 * it is right. */
static void
log_removed(void *context, struct queue *queue, const struct mail_identity *identity, uint64_t hash,
    const char *id)
{
    char made[MAIL_ID_SIZE];

    (void)context;
    (void)queue;
    if (id[0] == '\0')
        id = mail_id_format(made, sizeof(made), (time_t)(identity->mtime_ns / 1000000000), hash);
    log_info("%s: removed", id);
}

/* The first ones are named. */
static void
note_alone(void *context, const char *name)
{
    struct upkeep *upkeep = context;
    char *names = upkeep->swept->reason;
    size_t used = strlen(names);

    upkeep->alone++;
    if (used + strlen(name) + 2 < sizeof(upkeep->swept->reason) - WORDS_SIZE)
        text_format(
            names + used, sizeof(upkeep->swept->reason) - used, "%s%s", used > 0 ? " " : "", name);
}

static void
begin_sweep(struct upkeep *upkeep, const struct queue_sweep_rules *rules)
{
    upkeep->sweep = queue_sweep_begin(upkeep->queue, rules);
    upkeep->alone = 0;
    upkeep->swept = memory_new(1, sizeof(*upkeep->swept));
    upkeep->swept->kind = COMMIT_SWEPT;
    upkeep->swept->queue = upkeep->queue;
    upkeep->swept->descriptor = -1;
}

/* NULL where there is nothing to tell, and was not before. */
static struct commit *
end_sweep(struct upkeep *upkeep)
{
    struct commit *swept = upkeep->swept;
    size_t used = strlen(swept->reason);

    queue_sweep_end(upkeep->sweep);
    upkeep->sweep = NULL;
    upkeep->swept = NULL;
    if (upkeep->alone > 0)
        text_format(swept->reason + used, sizeof(swept->reason) - used,
            ": %zu file%s without a control file, of which nobody is told", upkeep->alone,
            upkeep->alone == 1 ? "" : "s");
    if (upkeep->alone == 0 && !upkeep->told) {
        free(swept);
        return NULL;
    }
    upkeep->told = upkeep->alone > 0;
    return swept;
}

static struct commit *
slice_sweep(struct upkeep *upkeep, int64_t now)
{
    const struct queue_sweep_rules rules = {
        .keep_sent = upkeep->options->keep_sent,
        .keep_dropped = upkeep->options->keep_dropped,
        .removed = log_removed,
        .alone = note_alone,
        .context = upkeep,
    };
    struct error error;
    enum queue_result result;

    if (upkeep->sweep == NULL)
        begin_sweep(upkeep, &rules);
    result = queue_sweep_step(upkeep->sweep, clock_now_ms(), SWEEP_SLICE, &error);
    if (result == QUEUE_MORE)
        return NULL;
    upkeep->sweep_due = now + upkeep->options->sweep_interval;
    /* By then somebody may have put files into defer/ by hand. */
    need_recovery(upkeep, upkeep->sweep_due);
    if (result != QUEUE_DONE)
        log_error("sweeping the queue %s: %s", queue_path(upkeep->queue), error.text);
    return end_sweep(upkeep);
}

/* A recovery comes first and alone: it would take a split under way for an interrupted one. */
struct commit *
upkeep_slice(struct upkeep *upkeep, int64_t now)
{
    struct commit *done = NULL;

    if (upkeep->recovery != NULL ||
        (upkeep->recovery_needed && upkeep->recovery_due <= now && upkeep->split == NULL)) {
        slice_recovery(upkeep, now);
        return NULL;
    }
    if (upkeep->splits != NULL)
        done = slice_split(upkeep, now);
    if (done == NULL && (upkeep->sweep != NULL || upkeep->sweep_due <= now))
        done = slice_sweep(upkeep, now);
    return done;
}
