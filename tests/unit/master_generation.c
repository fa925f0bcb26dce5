/*
 * Generations of programs that do nothing: each is this test itself, executed under a program's
 * name. $TZ, which programs are handed, says how they are to behave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/memory.h"
#include "lib/service.h"
#include "master/generation.h"
#include "master/timer.h"

#define NAME_PREFIX "smailer-"
#define LIMIT_MS 20000

/* What control says of a program that is gone: one of these and the instance. */
enum { GONE_BY_WISH = 100, GONE_BY_FAULT = 200 };

/* ---- the programs ---- */

static int legacy = -1;

static bool
told_to(const char *behaviour)
{
    const char *zone = getenv("TZ");

    return zone != NULL && strstr(zone, behaviour) != NULL;
}

static void
on_gone(struct channel *from, const struct message *message)
{
    uint32_t kind = message->gone.fault ? GONE_BY_FAULT : GONE_BY_WISH;

    (void)from;
    if (message->gone.role == ROLE_CLEANUP)
        service_send(service_master(),
            &(struct message){MESSAGE_RUN_OVER, .run_over = {kind + message->gone.instance}});
}

static void
on_joined(struct channel *peer)
{
    if (told_to("denounce") && service_peer(ROLE_CONTROL, 0) == NULL &&
        channel_peer(peer) == ROLE_CLEANUP && channel_instance(peer) == 1)
        service_send(service_master(),
            &(struct message){MESSAGE_BAD_PEER,
                .bad_peer = {.role = ROLE_CLEANUP, .instance = 1, .reason = "it was told to"}});
}

static bool
start(int inheritance, struct error *error)
{
    if (told_to("unable"))
        return error_set(error, "this one was told to fail");
    if (inheritance >= 0)
        legacy = fcntl(inheritance, F_DUPFD_CLOEXEC, 0);
    if (told_to("fork") && fork() == 0) {
        pause();
        _exit(EX_OK);
    }
    if (!told_to("idle"))
        service_worked();
    return true;
}

static void
drain(void)
{
    if (legacy < 0) {
        legacy = memfd_create("legacy", MFD_CLOEXEC);
        if (write(legacy, "0", 1) != 1)
            fatal(EX_OSERR, "no legacy");
    } else if (write(legacy, "+", 1) != 1)
        fatal(EX_OSERR, "no legacy");
    service_drained(legacy);
}

static size_t
count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    size_t count = 0;

    if (directory == NULL)
        return 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 3; /* ".", ".." and the directory itself */
}

/* What the master has to see to before a program begins. */
static bool
begins_well(void)
{
    int death_signal = 0;

    return count_descriptors() == SERVICE_DESCRIPTOR + 1 && getpgrp() == getpid() &&
           prctl(PR_GET_PDEATHSIG, &death_signal) == 0 && death_signal == SIGKILL &&
           getenv("HOME") == NULL && getenv("TZ") != NULL;
}

static int
be_program(const char *name, int argc, char **argv)
{
    static const struct service_handler CONTROL_HANDLERS[] = {{MESSAGE_GONE, on_gone}};
    struct service service = {.start = start, .peer_joined = on_joined};

    if (!begins_well() || !role_find(name, &service.role))
        return EX_SOFTWARE;
    if (service.role == ROLE_QMGR)
        service.drain = drain;
    if (service.role == ROLE_CONTROL) {
        service.peer_joined = NULL;
        service.handlers = CONTROL_HANDLERS;
        service.handler_count = 1;
    }
    return service_main(&service, argc, argv);
}

/* ---- their master ---- */

static int pairs_left = -1; /* socket pairs that can be made yet; -1: any number */

int
socketpair(int domain, int type, int protocol, int ends[2])
{
    if (pairs_left == 0) {
        errno = EMFILE;
        return -1;
    }
    if (pairs_left > 0)
        pairs_left--;
    return (int)syscall(SYS_socketpair, domain, type, protocol, ends);
}

static struct {
    struct configuration configuration;
    struct secrets secrets;
    struct programs programs;
    struct logs logs;
    struct supply supply;
    struct event *child;
    struct event *limit;
    struct generation *generation;
    int ready;
    int lost;
    int64_t served;
    int drained;
    int gone;
    int over; /* what the run ended with */
    int overs; /* how often it was said */
    int unable; /* the status */
    bool worked;
    char words[256];
} stage;

static void
stop_loop(void)
{
    event_base_loopbreak(stage.supply.base);
}

static void
on_ready_event(void *context)
{
    (void)context;
    stage.ready++;
    stop_loop();
}

static void
on_unable_event(void *context, int status, const char *words)
{
    (void)context;
    stage.unable = status;
    snprintf(stage.words, sizeof(stage.words), "%s", words);
    stop_loop();
}

static void
on_lost_event(void *context, bool worked, int64_t served)
{
    (void)context;
    stage.lost++;
    stage.worked = worked;
    stage.served = served;
    stop_loop();
}

static void
on_drained_event(void *context)
{
    (void)context;
    stage.drained++;
    stop_loop();
}

static void
on_gone_event(void *context)
{
    (void)context;
    stage.gone++;
    stop_loop();
}

static void
on_over_event(void *context, int status)
{
    (void)context;
    stage.over = status;
    stage.overs++;
    stop_loop();
}

static const struct generation_events EVENTS = {
    .ready = on_ready_event,
    .unable = on_unable_event,
    .lost = on_lost_event,
    .drained = on_drained_event,
    .gone = on_gone_event,
    .run_over = on_over_event,
};

static void
on_child(evutil_socket_t number, short what, void *context)
{
    int status;
    pid_t pid;

    (void)number;
    (void)what;
    (void)context;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (stage.generation != NULL)
            generation_reaped(stage.generation, pid, status);
    }
    stop_loop();
}

static void
on_limit(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    fail_msg("not within %d ms", LIMIT_MS);
}

/* Runs the loop until WHAT is no more than it was. */
static void
wait_until(const int *what, int value)
{
    timer_start(stage.limit, LIMIT_MS);
    while (*what != value)
        assert_int_equal(event_base_dispatch(stage.supply.base), 0);
    timer_stop(stage.limit);
}

static const struct process *
find(enum role role, uint32_t instance)
{
    size_t count;
    const struct process *processes = generation_processes(stage.generation, &count);

    for (size_t i = 0; i < count; i++) {
        if (processes[i].role == role && processes[i].instance == instance)
            return &processes[i];
    }
    return NULL;
}

static void
begin(const char *behaviour, int inheritance)
{
    int inheritances[ROLE_COUNT];
    struct error error;

    for (size_t i = 0; i < ROLE_COUNT; i++)
        inheritances[i] = -1;
    inheritances[ROLE_QMGR] = inheritance;
    setenv("TZ", behaviour, 1);
    stage.ready = stage.lost = stage.drained = stage.gone = stage.over = stage.unable = 0;
    stage.overs = 0;
    stage.generation = generation_new(&stage.supply, 1, inheritances, &EVENTS, NULL);
    if (!generation_start(stage.generation, &error))
        fail_msg("%s", error.text);
}

static void
end(void)
{
    generation_end(stage.generation, LIMIT_MS);
    wait_until(&stage.gone, 1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    generation_free(stage.generation);
    stage.generation = NULL;
}

/* Where root runs the tests, the programs are somebody's who exists everywhere. */
static void
choose_users(void)
{
    free(stage.configuration.settings.spool_user);
    stage.configuration.settings.spool_user = memory_copy_text("nobody");
    for (size_t i = 0; i < PROGRAM_ROLE_COUNT; i++) {
        struct program_settings *program = &stage.configuration.programs[PROGRAM_ROLES[i]];

        free(program->user);
        program->user = memory_copy_text("nobody");
    }
}

static int
open_stage(void **state)
{
    struct error error;

    (void)state;
    configuration_init(&stage.configuration);
    stage.configuration.settings.sandbox = SANDBOX_CHOICE_OFF;
    stage.configuration.settings.log_level = LOG_LEVEL_ERROR;
    stage.configuration.settings.log_to = LOG_TO_STDERR;
    choose_users();
    if (!logs_open(&stage.logs, &stage.configuration.settings, "/dev/null", &error))
        return 1;
    programs_init(&stage.programs);
    for (size_t i = 0; i < PROGRAM_ROLE_COUNT; i++)
        stage.programs.executables[PROGRAM_ROLES[i]] = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    stage.supply = (struct supply){.base = event_base_new(),
        .configuration = &stage.configuration,
        .secrets = &stage.secrets,
        .programs = &stage.programs,
        .logs = &stage.logs,
        .on_demand = true,
        .listener = -1,
        .client = -1};
    stage.child = evsignal_new(stage.supply.base, SIGCHLD, on_child, NULL);
    stage.limit = timer_new(stage.supply.base, on_limit, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    return event_add(stage.child, NULL);
}

static int
close_stage(void **state)
{
    (void)state;
    event_free(stage.child);
    event_free(stage.limit);
    event_base_free(stage.supply.base);
    programs_close(&stage.programs);
    logs_close(&stage.logs);
    configuration_free(&stage.configuration);
    return 0;
}

/* ---- the tests ---- */

static void
all_programs_become_ready(void **state)
{
    size_t count;

    (void)state;
    begin("UTC0", -1);
    wait_until(&stage.ready, 1);
    generation_processes(stage.generation, &count);
    assert_int_equal(count, 4 + stage.configuration.programs[ROLE_CLEANUP].instances + 1);
    assert_true(find(ROLE_CLEANUP, 2)->ready);
    end();
}

static void
who_cannot_start_is_told_of(void **state)
{
    (void)state;
    begin("UTC0unable", -1);
    wait_until(&stage.unable, EX_CONFIG);
    assert_non_null(strstr(stage.words, "cannot start"));
    end();
}

static void
a_cleanup_that_ends_is_replaced_and_its_peers_told(void **state)
{
    pid_t first;

    (void)state;
    begin("UTC0", -1);
    wait_until(&stage.ready, 1);
    first = find(ROLE_CLEANUP, 1)->pid;
    assert_int_equal(kill(first, SIGKILL), 0);
    wait_until(&stage.over, GONE_BY_WISH + 1);
    while (!find(ROLE_CLEANUP, 1)->ready)
        event_base_loop(stage.supply.base, EVLOOP_ONCE);
    assert_int_not_equal(find(ROLE_CLEANUP, 1)->pid, first);
    assert_int_equal(find(ROLE_CLEANUP, 1)->restarts, 1);
    assert_int_equal(find(ROLE_QMGR, 0)->restarts, 0);
    assert_int_equal(stage.lost, 0);
    end();
}

/* A peer counts the ends of those it had a pipe to. */
static void
who_never_had_its_pipes_is_not_said_to_be_gone(void **state)
{
    (void)state;
    begin("UTC0", -1);
    wait_until(&stage.ready, 1);
    pairs_left = 2; /* of who takes its place: master's own, and one to pickup */
    kill(find(ROLE_CLEANUP, 1)->pid, SIGKILL);
    wait_until(&stage.over, GONE_BY_WISH + 1);
    while (find(ROLE_CLEANUP, 1)->failures == 0)
        event_base_loop(stage.supply.base, EVLOOP_ONCE);
    assert_int_equal(pairs_left, 0);
    pairs_left = -1;
    while (!find(ROLE_CLEANUP, 1)->ready)
        event_base_loop(stage.supply.base, EVLOOP_ONCE);
    kill(find(ROLE_CLEANUP, 0)->pid, SIGKILL);
    wait_until(&stage.over, GONE_BY_WISH + 0);
    assert_int_equal(stage.overs, 2);
    end();
}

static void
who_is_still_starting_is_drained_like_others(void **state)
{
    (void)state;
    begin("UTC0", -1);
    generation_drain(stage.generation);
    wait_until(&stage.drained, 1);
    assert_int_equal(stage.ready, 0);
    end();
}

static void
a_fault_is_told_apart(void **state)
{
    static const int FAULTS[] = {SIGSEGV, SIGABRT, SIGSYS, SIGALRM, SIGXCPU, SIGPROF};

    (void)state;
    begin("UTC0", -1);
    wait_until(&stage.ready, 1);
    for (size_t i = 0; i < sizeof(FAULTS) / sizeof(FAULTS[0]); i++) {
        stage.over = 0;
        kill(find(ROLE_CLEANUP, 0)->pid, FAULTS[i]);
        wait_until(&stage.over, GONE_BY_FAULT + 0);
        while (!find(ROLE_CLEANUP, 0)->ready)
            event_base_loop(stage.supply.base, EVLOOP_ONCE);
    }
    end();
}

static void
who_is_denounced_ends(void **state)
{
    (void)state;
    begin("UTC0denounce", -1);
    wait_until(&stage.over, GONE_BY_FAULT + 1);
    end();
}

static void
without_pickup_or_qmgr_all_is_lost(void **state)
{
    static const enum role VITAL[] = {ROLE_PICKUP, ROLE_QMGR};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        begin("UTC0", -1);
        wait_until(&stage.ready, 1);
        kill(find(VITAL[i], 0)->pid, SIGKILL);
        wait_until(&stage.lost, 1);
        assert_true(stage.worked);
        end();
    }
}

static void
who_did_nothing_is_throttled(void **state)
{
    (void)state;
    begin("UTC0idle", -1);
    wait_until(&stage.ready, 1);
    kill(find(ROLE_SMTP, 0)->pid, SIGKILL);
    while (find(ROLE_SMTP, 0)->pid != 0)
        event_base_loop(stage.supply.base, EVLOOP_ONCE);
    assert_int_equal(find(ROLE_SMTP, 0)->failures, 1);
    assert_true(evtimer_pending(find(ROLE_SMTP, 0)->restart, NULL));
    kill(find(ROLE_QMGR, 0)->pid, SIGKILL);
    wait_until(&stage.lost, 1);
    assert_false(stage.worked);
    end();
}

/* As if it had been ready for six seconds more. */
static void
make_older(enum role role)
{
    struct process *process = (struct process *)find(role, 0);

    process->ready_since -= 6000;
}

/* Where all is in a table, pickup never has a job. */
static void
who_was_idle_and_well_is_not_throttled(void **state)
{
    (void)state;
    begin("UTC0idle", -1);
    wait_until(&stage.ready, 1);
    make_older(ROLE_SMTP);
    make_older(ROLE_PICKUP);
    kill(find(ROLE_SMTP, 0)->pid, SIGKILL);
    while (find(ROLE_SMTP, 0)->pid != 0)
        event_base_loop(stage.supply.base, EVLOOP_ONCE);
    assert_int_equal(find(ROLE_SMTP, 0)->failures, 0);
    kill(find(ROLE_PICKUP, 0)->pid, SIGKILL);
    wait_until(&stage.lost, 1);
    assert_false(stage.worked);
    assert_true(stage.served >= 6000);
    end();
}

static void
what_is_handed_on_reaches_the_next_generation(void **state)
{
    char text[8] = "";
    int inherited = -1;

    (void)state;
    for (int i = 0; i < 3; i++) {
        begin("UTC0", inherited);
        wait_until(&stage.ready, 1);
        generation_drain(stage.generation);
        wait_until(&stage.drained, 1);
        inherited = generation_take_inheritance(stage.generation, ROLE_QMGR);
        assert_true(inherited >= 0);
        end();
    }
    assert_int_equal(pread(inherited, text, sizeof(text) - 1, 0), 3);
    assert_string_equal(text, "0++");
    close(inherited);
}

static void
what_a_program_started_ends_with_it(void **state)
{
    (void)state;
    begin("UTC0fork", -1);
    wait_until(&stage.ready, 1);
    end();
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_programs_become_ready),
        cmocka_unit_test(who_cannot_start_is_told_of),
        cmocka_unit_test(a_cleanup_that_ends_is_replaced_and_its_peers_told),
        cmocka_unit_test(who_never_had_its_pipes_is_not_said_to_be_gone),
        cmocka_unit_test(who_is_still_starting_is_drained_like_others),
        cmocka_unit_test(a_fault_is_told_apart),
        cmocka_unit_test(who_is_denounced_ends),
        cmocka_unit_test(without_pickup_or_qmgr_all_is_lost),
        cmocka_unit_test(who_did_nothing_is_throttled),
        cmocka_unit_test(who_was_idle_and_well_is_not_throttled),
        cmocka_unit_test(what_is_handed_on_reaches_the_next_generation),
        cmocka_unit_test(what_a_program_started_ends_with_it),
    };

    if (strncmp(argv[0], NAME_PREFIX, strlen(NAME_PREFIX)) == 0)
        return be_program(argv[0] + strlen(NAME_PREFIX), argc, argv);
    return cmocka_run_group_tests(tests, open_stage, close_stage);
}
