#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/text.h"
#include "master/directories.h"
#include "master/process.h"
#include "master/timer.h"

/* Signals that a process gets for what it did itself; others are somebody's wish. */
static const int FAULTS[] = {
    SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGALRM, SIGXCPU, SIGVTALRM, SIGPROF};

void
process_send(const struct process *process, const struct message *message)
{
    struct error error;

    if (process->channel == NULL)
        return;
    if (!channel_send(process->channel, message, &error))
        fatal(
            EX_SOFTWARE, "to %s[%u]: %s", role_name(process->role), process->instance, error.text);
}

void
process_send_log(const struct process *process, const struct logs *logs)
{
    process_send(
        process, &(struct message){MESSAGE_LOG,
                     .log = {.target = logs->target, .log = logs->descriptors[process->role]}});
}

static void
send_secrets(const struct process *process, const struct secrets *secrets)
{
    for (size_t i = 0; i < secrets->count; i++) {
        if (secrets->descriptors[i] < 0)
            continue;
        process_send(
            process, &(struct message){MESSAGE_SECRET,
                         .secret = {.account = (uint32_t)i, .secret = secrets->descriptors[i]}});
    }
}

static void
send_all(struct process *process, const struct supply *supply, uint32_t generation,
    int configuration, int inheritance)
{
    process_send_log(process, supply->logs);
    process_send(
        process, &(struct message){MESSAGE_CONFIGURE, .configure = {.instance = process->instance,
                                                          .generation = generation,
                                                          .on_demand = supply->on_demand,
                                                          .configuration = configuration,
                                                          .inheritance = inheritance}});
    if (process->role == ROLE_SMTP)
        send_secrets(process, supply->secrets);
    if (process->role == ROLE_CONTROL)
        process_send(
            process, &(struct message){MESSAGE_LISTEN,
                         .listen = {.listener = supply->listener, .client = supply->client}});
}

/* A database's access is for the one process that works on it. */
static int
encode_part(const struct process *process, const struct supply *supply, struct error *error)
{
    static char nothing[] = "";
    struct configuration part = *supply->configuration;
    int descriptor;

    part.queues = memory_new(part.queue_count + 1, sizeof(*part.queues));
    for (size_t i = 0; i < part.queue_count; i++) {
        part.queues[i] = supply->configuration->queues[i];
        if (process->role == ROLE_SQL && part.queues[i].instance != process->instance)
            part.queues[i].conninfo = nothing;
    }
    descriptor = configuration_encode(&part, process->role, error);
    free(part.queues);
    return descriptor;
}

/* Where smailer-sql keeps what it must not forget. Without it, it says so itself. */
static void
make_journal_directory(
    const struct process *process, const struct supply *supply, const struct program_rights *rights)
{
    const struct configuration *configuration = supply->configuration;
    struct error error;

    for (size_t i = 0; i < configuration->queue_count; i++) {
        const struct queue_settings *queue = &configuration->queues[i];
        char *path;

        if (queue->kind != SECTION_SQL || queue->instance != process->instance)
            continue;
        path = memory_format("%s/sql/%s", configuration->settings.state_directory, queue->section);
        if (!directories_make(path, rights->drop ? &rights->user : NULL, &error))
            log_warn("sql %s: %s", queue->section, error.text);
        free(path);
    }
}

/* Where qmgr keeps notices and pickup finds them. */
static void
make_notices_directory(const struct process *process, const struct supply *supply)
{
    const struct configuration *configuration = supply->configuration;
    struct program_rights rights;
    struct error error;

    if (process->role != ROLE_PICKUP && process->role != ROLE_QMGR)
        return;
    for (size_t i = 0; i < configuration->queue_count; i++) {
        const struct queue_settings *queue = &configuration->queues[i];

        if (strcmp(queue->section, CONFIGURATION_NOTICES) != 0)
            continue;
        if (!program_find_rights(configuration, ROLE_QMGR, &rights, &error) ||
            !directories_make(queue->path, rights.drop ? &rights.user : NULL, &error))
            log_warn("notices: %s", error.text);
    }
}

/* Forks; the new process's end of the channel is CHANNEL. */
static bool
launch(struct process *process, const struct supply *supply, int channel, struct error *error)
{
    struct program_start start = {.role = process->role,
        .executable = supply->programs->executables[process->role],
        .memory_limit = supply->configuration->programs[process->role].memory_limit,
        .log = supply->logs->descriptors[process->role],
        .target = supply->logs->target,
        .channel = channel};
    pid_t pid;

    if (!program_find_rights(supply->configuration, process->role, &start.rights, error))
        return false;
    if (process->role == ROLE_SQL)
        make_journal_directory(process, supply, &start.rights);
    make_notices_directory(process, supply);
    pid = program_start(&start, error);
    if (pid < 0)
        return false;
    process->pid = pid;
    process->group = pid;
    return true;
}

bool
process_start(struct process *process, const struct supply *supply, uint32_t generation,
    int inheritance, const struct channel_events *events, struct error *error)
{
    int ends[2];
    int configuration = encode_part(process, supply, error);

    if (configuration < 0)
        return false;
    if (!channel_pair(ends, error)) {
        close(configuration);
        return false;
    }
    process->linked = process->ready = process->worked = process->drained = false;
    process->blame[0] = '\0';
    process->served = 0;
    process->started = timer_now();
    if (!launch(process, supply, ends[1], error)) {
        close(configuration);
        close(ends[0]);
        close(ends[1]);
        return false;
    }
    close(ends[1]);
    process->channel = channel_open(
        supply->base, ends[0], ROLE_MASTER, process->role, process->instance, events, process);
    send_all(process, supply, generation, configuration, inheritance);
    close(configuration);
    return true;
}

void
process_disconnect(struct process *process)
{
    channel_close(process->channel);
    process->channel = NULL;
}

void
process_kill(const struct process *process)
{
    if (process->pid > 0)
        kill(process->pid, SIGKILL);
    if (process->group > 0)
        kill(-process->group, SIGKILL);
}

static bool
is_fault(int number)
{
    for (size_t i = 0; i < sizeof(FAULTS) / sizeof(FAULTS[0]); i++) {
        if (FAULTS[i] == number)
            return true;
    }
    return false;
}

void
process_describe_end(const struct process *process, int status, struct process_end *end)
{
    *end = (struct process_end){.status = -1};
    if (process->blame[0] != '\0') {
        end->fault = true;
        memcpy(end->reason, process->blame, sizeof(end->reason));
    } else if (WIFSIGNALED(status)) {
        end->fault = is_fault(WTERMSIG(status));
        text_format(end->reason, sizeof(end->reason), "killed by signal %d (%s)", WTERMSIG(status),
            strsignal(WTERMSIG(status)));
    } else {
        end->status = WEXITSTATUS(status);
        text_format(end->reason, sizeof(end->reason), "ended with status %d", end->status);
    }
}

void
process_set_ended(struct process *process)
{
    process_disconnect(process);
    process->pid = 0;
    process->served = process->ready ? timer_now() - process->ready_since : 0;
    process->ready = false;
}

bool
process_is_gone(struct process *process)
{
    if (process->pid != 0)
        return false;
    /* As long as one of them is there, nobody else can get the group's number. */
    if (process->group != 0 && kill(-process->group, SIGKILL) != 0 && errno == ESRCH)
        process->group = 0;
    return process->group == 0;
}
