#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/text.h"
#include "master/generation.h"
#include "master/links.h"
#include "master/status.h"
#include "master/throttle.h"
#include "master/timer.h"

/* How often it is looked whether all that was to end is gone. */
#define GONE_CHECK_MS 10

enum phase { PHASE_STARTING, PHASE_SERVING, PHASE_DRAINING, PHASE_ENDING };

struct generation {
    const struct supply *supply;
    uint32_t number;
    enum phase phase;
    struct process *processes;
    size_t count;
    int inheritance[ROLE_COUNT]; /* from the last generation */
    int legacy[ROLE_COUNT]; /* for the next one */
    const struct generation_events *events;
    void *context;
    struct event *gone_timer;
    int64_t kill_time;
};

uint32_t
generation_instances(const struct configuration *configuration, enum role role)
{
    if (role == ROLE_SQL)
        return (uint32_t)configuration_sections(configuration, SECTION_SQL);
    if (role == ROLE_TOKEN)
        return configuration_wants_tokens(configuration) ? 1 : 0;
    /* The last cleanup reads for listings, and what killed another one. */
    return role == ROLE_CLEANUP ? configuration->programs[role].instances + 1 : 1;
}

static struct process *
find_process(struct generation *generation, uint32_t role, uint32_t instance)
{
    for (size_t i = 0; i < generation->count; i++) {
        struct process *process = &generation->processes[i];

        if (process->role == (enum role)role && process->instance == instance)
            return process;
    }
    return NULL;
}

/* ---- what the programs say ---- */

static void
handle_ready(struct generation *generation, struct process *process, const struct message *message)
{
    (void)message;
    process->ready = true;
    process->ready_since = timer_now();
    if (generation->phase != PHASE_STARTING)
        return;
    for (size_t i = 0; i < generation->count; i++) {
        if (!generation->processes[i].ready)
            return;
    }
    generation->phase = PHASE_SERVING;
    generation->events->ready(generation->context);
}

static void
handle_worked(struct generation *generation, struct process *process, const struct message *message)
{
    (void)generation;
    (void)message;
    process->worked = true;
    process->failures = 0;
}

static void
check_drained(struct generation *generation)
{
    if (generation->phase != PHASE_DRAINING)
        return;
    for (size_t i = 0; i < generation->count; i++) {
        const struct process *process = &generation->processes[i];

        if (process->pid != 0 && !process->drained)
            return;
    }
    generation->events->drained(generation->context);
}

static void
handle_drained(
    struct generation *generation, struct process *process, const struct message *message)
{
    process->drained = true;
    if (message->drained.inheritance >= 0) {
        if (generation->legacy[process->role] >= 0)
            close(generation->legacy[process->role]);
        generation->legacy[process->role] = message->drained.inheritance;
    }
    check_drained(generation);
}

static void
handle_bad_peer(
    struct generation *generation, struct process *process, const struct message *message)
{
    const struct message_bad_peer *bad = &message->bad_peer;
    struct process *peer = find_process(generation, bad->role, bad->instance);

    if (peer == NULL || peer->pid == 0 || !links_has(process->role, peer->role))
        return;
    text_format(peer->blame, sizeof(peer->blame), "it sent %s[%u] what it may not: %.160s",
        role_name(process->role), process->instance, bad->reason);
    process_kill(peer);
}

static void
handle_log_lost(
    struct generation *generation, struct process *process, const struct message *message)
{
    (void)message;
    process_send_log(process, generation->supply->logs);
}

static void
handle_run_over(
    struct generation *generation, struct process *process, const struct message *message)
{
    (void)process;
    if (generation->supply->on_demand)
        generation->events->run_over(generation->context, (int)message->run_over.status);
}

static void
handle_status(struct generation *generation, struct process *process, const struct message *message)
{
    status_answer(generation, process, message->status.request);
}

/* The types that lib/messages.def lets a program send to master. */
static const struct {
    enum message_type type;
    void (*handle)(struct generation *, struct process *, const struct message *);
} HANDLERS[] = {
    {MESSAGE_READY, handle_ready},
    {MESSAGE_WORKED, handle_worked},
    {MESSAGE_DRAINED, handle_drained},
    {MESSAGE_BAD_PEER, handle_bad_peer},
    {MESSAGE_LOG_LOST, handle_log_lost},
    {MESSAGE_RUN_OVER, handle_run_over},
    {MESSAGE_STATUS, handle_status},
};

static void
on_received(struct channel *channel, const struct message *message)
{
    struct process *process = channel_context(channel);

    for (size_t i = 0; i < sizeof(HANDLERS) / sizeof(HANDLERS[0]); i++) {
        if (HANDLERS[i].type == message->type) {
            HANDLERS[i].handle(process->generation, process, message);
            return;
        }
    }
    message_discard(message);
}

/* A program without a pipe to master is of no use; its end is told by SIGCHLD. */
static void
on_closed(struct channel *channel, const char *reason)
{
    struct process *process = channel_context(channel);

    if (reason[0] != '\0')
        text_format(process->blame, sizeof(process->blame),
            "it sent master what it may not: %.160s", reason);
    process_disconnect(process);
    process_kill(process);
}

static const struct channel_events CHANNEL_EVENTS = {on_received, on_closed};

/* ---- starting ---- */

static bool
start_process(struct generation *generation, struct process *process, struct error *error)
{
    int *inheritance = &generation->inheritance[process->role];

    if (!process_start(
            process, generation->supply, generation->number, *inheritance, &CHANNEL_EVENTS, error))
        return false;
    /* What is handed on is for the first one, not for who takes its place. */
    if (*inheritance >= 0)
        close(*inheritance);
    *inheritance = -1;
    log_debug("%s[%u] is process %d", role_name(process->role), process->instance, process->pid);
    return links_connect(generation->processes, generation->count, process, error);
}

static void
schedule_restart(struct process *process)
{
    int64_t delay = throttle_delay(&process->failures, process->worked, process->served);

    if (process->failures == 1)
        log_warn("%s[%u] ended before it did a job: it is started again, in %lld s and then less "
                 "and less often",
            role_name(process->role), process->instance, (long long)(delay / 1000));
    timer_start(process->restart, delay);
}

static void
on_restart(evutil_socket_t descriptor, short what, void *context)
{
    struct process *process = context;
    struct error error;

    (void)descriptor;
    (void)what;
    process->restarts++;
    if (start_process(process->generation, process, &error))
        return;
    log_error("start %s[%u]: %s", role_name(process->role), process->instance, error.text);
    process_kill(process);
    if (process->pid == 0)
        schedule_restart(process);
}

bool
generation_start(struct generation *generation, struct error *error)
{
    for (size_t i = 0; i < generation->count; i++) {
        if (!start_process(generation, &generation->processes[i], error))
            return false;
    }
    return true;
}

/* ---- a process ended ---- */

static void
log_end(const struct process *process, const struct process_end *end, bool expected)
{
    if (expected)
        log_debug("%s[%u] (process %d) %s", role_name(process->role), process->instance,
            process->pid, end->reason);
    else if (end->fault)
        log_error("%s[%u] (process %d) died of a fault: %s", role_name(process->role),
            process->instance, process->pid, end->reason);
    else
        log_warn("%s[%u] (process %d) %s", role_name(process->role), process->instance,
            process->pid, end->reason);
}

/* Ended so by itself before it was ready, it will not start the next time either. */
static bool
is_unable(const struct process_end *end)
{
    return end->status >= 0 || end->fault;
}

static void
report_unable(struct generation *generation, const struct process *process, pid_t pid,
    const struct process_end *end)
{
    char last[512];
    char words[800];
    bool known = logs_last_words(generation->supply->logs, process->role, pid, last, sizeof(last));

    text_format(words, sizeof(words), "smailer-%s cannot start: %s", role_name(process->role),
        known ? last : end->reason);
    generation->events->unable(
        generation->context, end->status > 0 ? end->status : EX_SOFTWARE, words);
}

static bool
is_vital(const struct generation *generation, enum role role)
{
    return role == ROLE_PICKUP || role == ROLE_SQL || role == ROLE_QMGR ||
           (role == ROLE_CONTROL && generation->supply->on_demand);
}

/* While it serves: who is missed, and is it replaced? */
static void
handle_end(struct generation *generation, struct process *process, pid_t pid, bool was_ready,
    const struct process_end *end)
{
    links_tell_end(generation->processes, generation->count, process, end);
    if (!was_ready && is_unable(end) && process->restarts == 0 &&
        generation->phase == PHASE_STARTING)
        report_unable(generation, process, pid, end);
    else if (is_vital(generation, process->role))
        generation->events->lost(generation->context, process->worked, process->served);
    else
        schedule_restart(process);
}

bool
generation_reaped(struct generation *generation, pid_t pid, int status)
{
    for (size_t i = 0; i < generation->count; i++) {
        struct process *process = &generation->processes[i];
        struct process_end end;
        bool was_ready = process->ready;

        if (process->pid != pid)
            continue;
        process_describe_end(process, status, &end);
        log_end(process, &end, generation->phase == PHASE_ENDING);
        process_set_ended(process);
        if (generation->phase < PHASE_DRAINING)
            handle_end(generation, process, pid, was_ready, &end);
        else if (generation->phase == PHASE_DRAINING) {
            links_tell_end(generation->processes, generation->count, process, &end);
            check_drained(generation);
        }
        return true;
    }
    return false;
}

/* ---- the end ---- */

static void
stop_restarts(struct generation *generation)
{
    for (size_t i = 0; i < generation->count; i++)
        timer_stop(generation->processes[i].restart);
}

void
generation_drain(struct generation *generation)
{
    generation->phase = PHASE_DRAINING;
    stop_restarts(generation);
    for (size_t i = 0; i < generation->count; i++)
        process_send(&generation->processes[i], &(struct message){.type = MESSAGE_DRAIN});
    check_drained(generation);
}

void
generation_end(struct generation *generation, int64_t patience)
{
    generation->phase = PHASE_ENDING;
    stop_restarts(generation);
    for (size_t i = 0; i < generation->count; i++)
        process_disconnect(&generation->processes[i]);
    generation->kill_time = timer_now() + patience;
    timer_start(generation->gone_timer, 0);
}

static void
check_gone(evutil_socket_t descriptor, short what, void *context)
{
    struct generation *generation = context;
    bool gone = true;

    (void)descriptor;
    (void)what;
    for (size_t i = 0; i < generation->count; i++) {
        struct process *process = &generation->processes[i];

        if (process_is_gone(process))
            continue;
        gone = false;
        if (timer_now() >= generation->kill_time)
            process_kill(process);
    }
    if (gone)
        generation->events->gone(generation->context);
    else
        timer_start(generation->gone_timer, GONE_CHECK_MS);
}

void
generation_send_logs(struct generation *generation)
{
    for (size_t i = 0; i < generation->count; i++)
        process_send_log(&generation->processes[i], generation->supply->logs);
}

int
generation_take_inheritance(struct generation *generation, enum role role)
{
    int descriptor = generation->legacy[role];

    generation->legacy[role] = -1;
    return descriptor;
}

uint32_t
generation_number(const struct generation *generation)
{
    return generation->number;
}

const struct process *
generation_processes(const struct generation *generation, size_t *count)
{
    *count = generation->count;
    return generation->processes;
}

/* ---- from the beginning ---- */

static void
add_processes(struct generation *generation)
{
    const struct configuration *configuration = generation->supply->configuration;

    for (size_t i = 0; i < PROGRAM_ROLE_COUNT; i++)
        generation->count += generation_instances(configuration, PROGRAM_ROLES[i]);
    generation->processes = memory_new(generation->count, sizeof(*generation->processes));
    for (size_t i = 0, at = 0; i < PROGRAM_ROLE_COUNT; i++) {
        uint32_t instances = generation_instances(configuration, PROGRAM_ROLES[i]);

        for (uint32_t instance = 0; instance < instances; instance++, at++) {
            struct process *process = &generation->processes[at];

            process->generation = generation;
            process->role = PROGRAM_ROLES[i];
            process->instance = instance;
            process->restart = timer_new(generation->supply->base, on_restart, process);
        }
    }
}

struct generation *
generation_new(const struct supply *supply, uint32_t number, const int inheritance[ROLE_COUNT],
    const struct generation_events *events, void *context)
{
    struct generation *generation = memory_new(1, sizeof(*generation));

    generation->supply = supply;
    generation->number = number;
    generation->events = events;
    generation->context = context;
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        generation->inheritance[i] = inheritance[i];
        generation->legacy[i] = -1;
    }
    generation->gone_timer = timer_new(supply->base, check_gone, generation);
    add_processes(generation);
    return generation;
}

static void
close_all(int descriptors[ROLE_COUNT])
{
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    }
}

void
generation_free(struct generation *generation)
{
    if (generation == NULL)
        return;
    for (size_t i = 0; i < generation->count; i++) {
        process_disconnect(&generation->processes[i]);
        event_free(generation->processes[i].restart);
    }
    close_all(generation->inheritance);
    close_all(generation->legacy);
    event_free(generation->gone_timer);
    free(generation->processes);
    free(generation);
}
