#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <bsd/string.h>

#include "lib/base_name.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "pickup/run.h"

#define PROGRESS_MS 100

struct run {
    STAILQ_ENTRY(run) next;
    uint32_t number;
    bool force;
    bool begun;
    char sid[256];
    char sender[321];
    char problem[256]; /* why some base could not be looked at */
    uint32_t status; /* sysexits.h's, the largest of its mails */
    uint64_t total;
    uint64_t ended; /* of these */
    uint64_t sent;
    uint64_t deferred;
    uint64_t dropped;
    uint64_t skipped;
    char *text; /* what the names lie in */
    const char **names; /* of the only files it is for, sorted; NULL: it is for all */
    size_t name_count;
};

static struct {
    const struct run_host *host;
    STAILQ_HEAD(, run) waiting; /* the first is the one at work */
    struct event *progress;
    bool changed;
    uint32_t only_number; /* the run that the names are for */
    char *only_names;
    size_t only_size;
} runs;

static struct run *
current(void)
{
    struct run *run = STAILQ_FIRST(&runs.waiting);

    return run != NULL && run->begun ? run : NULL;
}

void
run_adopt(struct run *run, struct known_file *file)
{
    if (run == NULL || file->run == run->number)
        return;
    file->run = run->number;
    file->awaited = true;
    run->total++;
    runs.changed = true;
}

bool
run_forces(const struct run *run, const struct known_file *file)
{
    return run != NULL && run->force && (file == NULL || file->run != run->number);
}

static int
compare_names(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

bool
run_selects(const struct run *run, const char *name)
{
    return run == NULL || run->names == NULL ||
           bsearch(&name, run->names, run->name_count, sizeof(*run->names), compare_names) != NULL;
}

uint32_t
run_number(const struct base *base)
{
    return base->run == NULL ? 0 : base->run->number;
}

static void
tell(const struct run *run, bool over, const char *problem)
{
    service_send(service_peer(ROLE_CONTROL, 0), &(struct message){.type = MESSAGE_RUN_PROGRESS,
                                                    .run_progress = {.run = run->number,
                                                        .over = over,
                                                        .status = run->status,
                                                        .total = run->total,
                                                        .sent = run->sent,
                                                        .deferred = run->deferred,
                                                        .dropped = run->dropped,
                                                        .skipped = run->skipped,
                                                        .problem = problem}});
}

void
run_note_end(uint32_t number, enum job_end end, uint32_t status)
{
    struct run *run = current();

    if (run == NULL || run->number != number)
        return;
    run->ended++;
    if (status > run->status)
        run->status = status;
    runs.changed = true;
    if (end == JOB_SENT)
        run->sent++;
    else if (end == JOB_DEFERRED)
        run->deferred++;
    else if (end == JOB_DROPPED)
        run->dropped++;
    else if (end == JOB_SPLIT || end == JOB_GONE)
        run->total--, run->ended--;
    else
        run->skipped++;
}

void
run_note_held(uint32_t number)
{
    struct run *run = current();

    if (run == NULL || run->number != number)
        return;
    if (run->problem[0] == '\0')
        strlcpy(
            run->problem, "some mails wait for the quotas of their accounts", sizeof(run->problem));
}

void
run_note_gone(struct known_file *file)
{
    if (file->awaited)
        run_note_end(file->run, JOB_GONE, 0);
    file->awaited = false;
}

void
run_look_again(uint32_t number, struct base *base)
{
    struct run *run = current();

    if (run == NULL || run->number != number)
        return;
    base->run = run;
    base->passes[MAIL_WAITING].wanted = true;
    base->passes[MAIL_WAITING].for_run = true;
}

bool
run_names_base(const char *sid, const struct base *base)
{
    const struct queue_settings *queue = &service_configuration()->queues[base->number];

    return sid[0] == '\0' || base_name_fits(sid, queue->section, queue->sid);
}

/* What qmgr has is waited for, also where its file is not there any more: that of a list goes
 * before the mails that it becomes are heard of. */
static void
adopt_in_hand(struct run *run, struct base *base)
{
    for (size_t at = 0; run->names == NULL && at < base->known.size; at++) {
        if (base->known.files[at].used && base->known.files[at].kind == KNOWN_IN_HAND)
            run_adopt(run, &base->known.files[at]);
    }
}

static void
begin(struct run *run)
{
    struct base *base;
    uint32_t count = 0;

    run->begun = true;
    service_send(service_peer(ROLE_QMGR, 0),
        &(struct message){.type = MESSAGE_RUN_FOR,
            .run_for = {.run = run->number, .force = run->force, .sender = run->sender}});
    for (uint32_t i = 0; (base = runs.host->base(i)) != NULL; i++) {
        if (base->queue == NULL || !run_names_base(run->sid, base))
            continue;
        base_begin_run(base, run);
        adopt_in_hand(run, base);
        runs.host->wake(base);
        count++;
    }
    log_info("run %u: everything of %u bases is tried now", run->number, count);
}

/* True where every file was found; lets the bases go that are done. */
static bool
all_found(struct run *run)
{
    struct base *base;
    bool found = true;

    for (uint32_t i = 0; (base = runs.host->base(i)) != NULL; i++) {
        if (base->run != run)
            continue;
        if (base->problem[0] != '\0')
            strlcpy(run->problem, base->problem, sizeof(run->problem));
        if (base->problem[0] != '\0' || base_run_found(base))
            base->run = NULL;
        else
            found = false;
    }
    return found;
}

static void
let_go(struct run *run)
{
    struct base *base;

    for (uint32_t i = 0; (base = runs.host->base(i)) != NULL; i++) {
        if (base->run == run)
            base->run = NULL;
    }
    STAILQ_REMOVE(&runs.waiting, run, run, next);
    free(run->names);
    free(run->text);
    free(run);
}

void
run_check(void)
{
    struct run *run = STAILQ_FIRST(&runs.waiting);

    if (run == NULL || service_peer(ROLE_QMGR, 0) == NULL)
        return;
    if (!run->begun)
        begin(run);
    if (!all_found(run) || run->ended < run->total)
        return;
    log_info("run %u: over: %lu sent, %lu deferred, %lu dropped", run->number, run->sent,
        run->deferred, run->dropped);
    tell(run, true, run->problem);
    let_go(run);
    run_check();
}

static void
on_progress(evutil_socket_t descriptor, short what, void *context)
{
    const struct run *run = current();

    (void)descriptor;
    (void)what;
    (void)context;
    if (run != NULL && runs.changed)
        tell(run, false, "");
    runs.changed = false;
    if (run != NULL)
        service_timer_start(runs.progress, PROGRESS_MS);
}

/* The names that came before RUN, where they are for it. */
static void
take_names(struct run *run)
{
    if (runs.only_names == NULL || runs.only_number != run->number)
        return;
    run->text = runs.only_names;
    runs.only_names = NULL;
    run->names = memory_new(runs.only_size + 1, sizeof(*run->names));
    for (const char *each = run->text; each < run->text + runs.only_size; each += strlen(each) + 1)
        run->names[run->name_count++] = each;
    qsort(run->names, run->name_count, sizeof(*run->names), compare_names);
}

void
run_handle_only(struct channel *from, const struct message *message)
{
    const struct bytes *names = &message->run_only.names;

    (void)from;
    free(runs.only_names);
    runs.only_number = message->run_only.run;
    runs.only_size = names->size;
    runs.only_names = memory_new(names->size + 1, 1);
    if (names->size > 0)
        memcpy(runs.only_names, names->data, names->size);
}

void
run_handle(struct channel *from, const struct message *message)
{
    struct run *run = memory_new(1, sizeof(*run));

    (void)from;
    run->number = message->run.run;
    run->force = message->run.force != 0;
    strlcpy(run->sid, message->run.sid, sizeof(run->sid));
    strlcpy(run->sender, message->run.sender, sizeof(run->sender));
    take_names(run);
    STAILQ_INSERT_TAIL(&runs.waiting, run, next);
    run_check();
    service_timer_start(runs.progress, PROGRESS_MS);
}

void
run_handle_cancel(struct channel *from, const struct message *message)
{
    struct run *run;

    (void)from;
    STAILQ_FOREACH(run, &runs.waiting, next)
    {
        if (run->number == message->run_cancel.run) {
            let_go(run);
            break;
        }
    }
    run_check();
}

void
run_cancel_all(void)
{
    while (!STAILQ_EMPTY(&runs.waiting))
        let_go(STAILQ_FIRST(&runs.waiting));
}

void
run_open(const struct run_host *host)
{
    runs.host = host;
    STAILQ_INIT(&runs.waiting);
    runs.progress = service_timer(on_progress, NULL);
}
