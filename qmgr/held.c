#include <errno.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "qmgr/base.h"
#include "qmgr/finish.h"
#include "qmgr/held.h"
#include "qmgr/worker.h"

/* The gap before a commit is submitted again; for a single file's it doubles, up to the most. */
#define GAP_FIRST_MS 5000
#define GAP_MOST_MS 300000

/* So many files of one queue that cannot be moved are the queue's problem. */
#define STUCK_MOST 16

struct held {
    STAILQ_ENTRY(held) next;
    struct commit *commit;
    int64_t due; /* ms, monotonic */
};

static struct {
    STAILQ_HEAD(, held) waiting;
    struct event *timer;
} all;

/* True where PROBLEM, an errno, says something of one file only. */
static bool
is_of_file(int problem)
{
    return problem == EPERM || problem == EBUSY || problem == EISDIR || problem == ENOTDIR ||
           problem == EEXIST || problem == ENOTEMPTY;
}

/* True where it says that the disk itself does not work: as many mails come twice, should this
 * program die now, as the relays have taken, so that their places stay taken. Any other problem
 * may be one that a base has made for itself, and takes nothing from others who share its account.
 */
static bool
is_of_disk(int problem)
{
    return problem == ENOSPC || problem == EIO || problem == EROFS;
}

static int64_t
gap_of(const struct job *job)
{
    int64_t gap = GAP_FIRST_MS;

    for (uint32_t i = 1; i < job->stuck && gap < GAP_MOST_MS; i++)
        gap *= 2;
    return gap < GAP_MOST_MS ? gap : GAP_MOST_MS;
}

static void
plan(void)
{
    const struct held *held;
    int64_t due = INT64_MAX;

    STAILQ_FOREACH(held, &all.waiting, next)
    {
        if (held->due < due)
            due = held->due;
    }
    if (due != INT64_MAX) {
        int64_t rest = due - clock_monotonic_ms();

        service_timer_start(all.timer, rest > 0 ? rest : 0);
    }
}

static void
submit_due(void)
{
    STAILQ_HEAD(, held) before = STAILQ_HEAD_INITIALIZER(before);
    int64_t now = clock_monotonic_ms();
    struct held *held;

    STAILQ_CONCAT(&before, &all.waiting);
    while ((held = STAILQ_FIRST(&before)) != NULL) {
        STAILQ_REMOVE_HEAD(&before, next);
        if (held->due > now) {
            STAILQ_INSERT_TAIL(&all.waiting, held, next);
            continue;
        }
        finish_submit(held->commit);
        free(held);
    }
}

static void
on_time(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    submit_due();
    plan();
}

void
held_open(void)
{
    STAILQ_INIT(&all.waiting);
    all.timer = service_timer(on_time, NULL);
}

/* A file that is stuck is told of each time, for nobody sees it otherwise. */
static void
note_stuck(struct job *job, const struct commit *commit)
{
    if (job->stuck++ == 0)
        job->base->stuck++;
    log_warn("%s: %s: %s: it stays in hand, and is tried again in %ld s", job->id,
        job->identity.name, commit->error.text, (long)(gap_of(job) / 1000));
}

void
held_add(struct job *job, struct commit *commit)
{
    struct held *held = memory_new(1, sizeof(*held));

    if (!is_of_disk(commit->error.code))
        worker_note_recorded(job);
    if (is_of_file(commit->error.code))
        note_stuck(job, commit);
    if (!is_of_file(commit->error.code) || job->base->stuck >= STUCK_MOST)
        base_note_problem(job->base, commit->error.text);
    held->commit = commit;
    held->due = clock_monotonic_ms() + gap_of(job);
    STAILQ_INSERT_TAIL(&all.waiting, held, next);
    if (!finish_is_closing())
        plan();
}

void
held_note_end(struct job *job)
{
    if (job->stuck > 0)
        job->base->stuck--;
    job->stuck = 0;
}
