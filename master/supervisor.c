#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <event2/event.h>

#include "lib/log.h"
#include "lib/notify.h"
#include "lib/text.h"
#include "master/daemon.h"
#include "master/generation.h"
#include "master/queues.h"
#include "master/status.h"
#include "master/supervisor.h"
#include "master/throttle.h"
#include "master/timer.h"
#include "master/watch.h"

/* How long the programs have to finish what they have in hand. */
#define RELOAD_LIMIT_MS 30000
#define END_LIMIT_MS 10000

/* How long a program that has nothing left to do has to end. */
#define EXIT_PATIENCE_MS 2000

enum stage {
    STAGE_STARTING,
    STAGE_SERVING,
    STAGE_DRAINING,
    STAGE_ENDING, /* its programs are about to be gone */
    STAGE_PAUSED, /* there is no generation; the next one waits for its time */
    STAGE_OVER
};

/* What comes after the generation at work. */
enum plan { PLAN_NONE, PLAN_NEXT, PLAN_END };

#define SIGNAL_COUNT (sizeof(SIGNALS) / sizeof(SIGNALS[0]))

static void on_end_wish(evutil_socket_t, short, void *);
static void on_reload_wish(evutil_socket_t, short, void *);
static void on_reopen_wish(evutil_socket_t, short, void *);
static void on_child(evutil_socket_t, short, void *);

static const struct {
    int number;
    event_callback_fn callback;
} SIGNALS[] = {
    {SIGTERM, on_end_wish},
    {SIGINT, on_end_wish},
    {SIGHUP, on_reload_wish},
    {SIGUSR1, on_reopen_wish},
    {SIGCHLD, on_child},
};

struct supervisor {
    struct master *master;
    struct supply supply;
    struct event_base *base;
    struct event *signals[SIGNAL_COUNT];
    struct event *deadline; /* of draining */
    struct event *pause; /* until the next generation */
    struct watch *watch;
    struct generation *generation;
    uint32_t number; /* of the last generation */
    enum stage stage;
    enum plan plan;
    bool proven; /* a generation was ready: from now on it is worth trying again */
    bool has_next; /* the next generation gets the next configuration */
    bool reloaded; /* the log is yet to be told that the new one is in use */
    struct configuration next_configuration;
    struct secrets next_secrets;
    int inheritance[ROLE_COUNT];
    unsigned failures;
    int64_t delay; /* before the next generation */
    int status;
};

static void start_generation(struct supervisor *supervisor);

/* ---- telling others ---- */

static void
notify(enum notify_state state)
{
    struct error error;

    if (!notify_send(state, &error))
        log_warn("%s", error.text);
}

/* Ends the start; WORDS are for whoever began it, once nothing is left of it. */
static void
give_up(struct supervisor *supervisor, int status, const char *words)
{
    struct master *master = supervisor->master;

    log_error("%s", words);
    supervisor->status = status;
    supervisor->plan = PLAN_END;
    if (master->report >= 0 || master->logs.to != LOG_TO_STDERR)
        text_format(master->farewell, sizeof(master->farewell), "smailer-master: %s", words);
}

/* ---- from one generation to the next ---- */

static void
end_generation(struct supervisor *supervisor, int64_t patience)
{
    supervisor->stage = STAGE_ENDING;
    timer_stop(supervisor->deadline);
    watch_free(supervisor->watch);
    supervisor->watch = NULL;
    generation_end(supervisor->generation, patience);
}

/* True also while it is starting: those that are ready may have mails in hand already. */
static bool
is_at_work(const struct supervisor *supervisor)
{
    return supervisor->stage == STAGE_STARTING || supervisor->stage == STAGE_SERVING;
}

static void
drain(struct supervisor *supervisor, int64_t limit)
{
    supervisor->stage = STAGE_DRAINING;
    watch_free(supervisor->watch);
    supervisor->watch = NULL;
    timer_start(supervisor->deadline, limit);
    generation_drain(supervisor->generation);
}

static void
on_deadline(evutil_socket_t descriptor, short what, void *context)
{
    struct supervisor *supervisor = context;

    (void)descriptor;
    (void)what;
    log_warn("what was in hand did not end in time; it will be tried again");
    end_generation(supervisor, 0);
}

static void
on_ready(void *context)
{
    struct supervisor *supervisor = context;
    struct master *master = supervisor->master;

    supervisor->stage = STAGE_SERVING;
    if (supervisor->reloaded)
        log_info("reloaded: generation %" PRIu32 " serves", supervisor->number);
    else
        log_info("generation %" PRIu32 " serves", supervisor->number);
    supervisor->reloaded = false;
    notify(NOTIFY_READY);
    if (!supervisor->proven && master->report >= 0)
        daemon_report(&master->report, EX_OK, "");
    supervisor->proven = true;
    if (supervisor->plan == PLAN_NEXT)
        drain(supervisor, RELOAD_LIMIT_MS);
}

static void
on_drained(void *context)
{
    struct supervisor *supervisor = context;

    if (supervisor->stage == STAGE_DRAINING)
        end_generation(supervisor, EXIT_PATIENCE_MS);
}

/* The generation is worth nothing any more. */
static void
on_lost(void *context, bool worked, int64_t served)
{
    struct supervisor *supervisor = context;

    if (supervisor->supply.on_demand && supervisor->plan != PLAN_END) {
        log_error("the run is broken off");
        supervisor->status = EX_TEMPFAIL;
        supervisor->plan = PLAN_END;
    }
    if (supervisor->plan != PLAN_END) {
        supervisor->delay = throttle_delay(&supervisor->failures, worked, served);
        if (supervisor->failures <= 1)
            log_warn("all programs are started again%s",
                supervisor->delay > 0 ? ", and less and less often while that fails" : "");
        supervisor->plan = PLAN_NEXT;
    }
    end_generation(supervisor, 0);
}

static void
on_unable(void *context, int status, const char *words)
{
    struct supervisor *supervisor = context;

    if (supervisor->proven)
        log_error("%s", words);
    else
        give_up(supervisor, status, words);
    on_lost(supervisor, false, 0);
}

static void
on_run_over(void *context, int status)
{
    struct supervisor *supervisor = context;

    supervisor->status = status;
    supervisor->plan = PLAN_END;
    /* While others still start, some have work behind them already: they drain as all do. */
    if (is_at_work(supervisor))
        drain(supervisor, END_LIMIT_MS);
}

static void
finish(struct supervisor *supervisor)
{
    supervisor->stage = STAGE_OVER;
    event_base_loopbreak(supervisor->base);
}

static void
on_gone(void *context)
{
    struct supervisor *supervisor = context;

    for (size_t i = 0; i < ROLE_COUNT; i++)
        supervisor->inheritance[i] =
            generation_take_inheritance(supervisor->generation, (enum role)i);
    generation_free(supervisor->generation);
    supervisor->generation = NULL;
    if (supervisor->plan == PLAN_END) {
        finish(supervisor);
        return;
    }
    supervisor->stage = STAGE_PAUSED;
    timer_start(supervisor->pause, supervisor->delay);
    supervisor->delay = 0;
}

static void
on_pause_over(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    start_generation(context);
}

static void
on_queues_changed(void *context)
{
    struct supervisor *supervisor = context;

    if (supervisor->stage != STAGE_SERVING)
        return;
    log_info("other bases are there now: the next generation will serve them");
    supervisor->plan = PLAN_NEXT;
    drain(supervisor, RELOAD_LIMIT_MS);
}

static const struct generation_events GENERATION_EVENTS = {
    .ready = on_ready,
    .unable = on_unable,
    .lost = on_lost,
    .drained = on_drained,
    .gone = on_gone,
    .run_over = on_run_over,
};

static void
take_next_configuration(struct supervisor *supervisor)
{
    struct master *master = supervisor->master;

    configuration_free(&master->configuration);
    secrets_free(&master->secrets);
    master->configuration = supervisor->next_configuration;
    master->secrets = supervisor->next_secrets;
    supervisor->has_next = false;
    supervisor->reloaded = true;
    log_set_level((enum log_level)master->configuration.settings.log_level);
    logs_change(&master->logs, &master->configuration.settings, master->options.log_file);
}

static void
start_generation(struct supervisor *supervisor)
{
    struct master *master = supervisor->master;
    struct error error;

    if (supervisor->has_next)
        take_next_configuration(supervisor);
    queues_find(&master->configuration, !supervisor->proven || supervisor->reloaded);
    supervisor->stage = STAGE_STARTING;
    supervisor->plan = PLAN_NONE;
    supervisor->generation = generation_new(&supervisor->supply, ++supervisor->number,
        supervisor->inheritance, &GENERATION_EVENTS, supervisor);
    if (!supervisor->supply.on_demand)
        supervisor->watch =
            watch_new(supervisor->base, &master->configuration, on_queues_changed, supervisor);
    if (!generation_start(supervisor->generation, &error))
        on_unable(supervisor, EX_OSERR, error.text);
}

/* ---- signals ---- */

static void
on_end_wish(evutil_socket_t number, short what, void *context)
{
    struct supervisor *supervisor = context;

    (void)number;
    (void)what;
    if (supervisor->plan != PLAN_END)
        log_info("ending");
    notify(NOTIFY_STOPPING);
    if (supervisor->master->report >= 0 && supervisor->plan != PLAN_END)
        give_up(supervisor, EX_TEMPFAIL, "ended before everything ran");
    supervisor->plan = PLAN_END;
    if (is_at_work(supervisor))
        drain(supervisor, END_LIMIT_MS);
    else if (supervisor->stage == STAGE_DRAINING)
        timer_start(supervisor->deadline, END_LIMIT_MS);
    else if (supervisor->stage == STAGE_PAUSED)
        finish(supervisor);
}

static void
drop_next(struct supervisor *supervisor)
{
    if (!supervisor->has_next)
        return;
    configuration_free(&supervisor->next_configuration);
    secrets_free(&supervisor->next_secrets);
    supervisor->has_next = false;
}

/* The next configuration, in place of one that waits already. */
static bool
load_next(struct supervisor *supervisor)
{
    struct configuration configuration;
    struct secrets secrets;
    struct error error;

    if (!master_load(&supervisor->master->options, &configuration, &secrets, &error)) {
        log_error("reload refused, nothing has changed: %s", error.text);
        return false;
    }
    if (strcmp(configuration.settings.run_directory,
            supervisor->master->configuration.settings.run_directory) != 0)
        log_warn("run_directory stays as it is until smailer is started anew");
    drop_next(supervisor);
    supervisor->next_configuration = configuration;
    supervisor->next_secrets = secrets;
    supervisor->has_next = true;
    return true;
}

static void
on_reload_wish(evutil_socket_t number, short what, void *context)
{
    struct supervisor *supervisor = context;

    if (supervisor->supply.on_demand) {
        on_end_wish(number, what, context); /* its terminal went away */
        return;
    }
    if (supervisor->plan == PLAN_END)
        return;
    notify(NOTIFY_RELOADING);
    if (!load_next(supervisor)) {
        notify(NOTIFY_READY);
        return;
    }
    log_info("reloading: the programs finish what they have in hand");
    supervisor->plan = PLAN_NEXT;
    if (supervisor->stage == STAGE_SERVING)
        drain(supervisor, RELOAD_LIMIT_MS);
}

static void
on_reopen_wish(evutil_socket_t number, short what, void *context)
{
    struct supervisor *supervisor = context;

    (void)number;
    (void)what;
    logs_reopen(&supervisor->master->logs);
    logs_use(&supervisor->master->logs);
    log_info("the logs are opened anew");
    if (supervisor->generation != NULL)
        generation_send_logs(supervisor->generation);
}

/* What a process started ends with it; killed while the process still has its number, so that no
 * other group can be meant. */
static void
on_child(evutil_socket_t number, short what, void *context)
{
    struct supervisor *supervisor = context;
    siginfo_t child;
    int status;

    (void)number;
    (void)what;
    for (;;) {
        child.si_pid = 0;
        if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) != 0 || child.si_pid == 0)
            return;
        kill(-child.si_pid, SIGKILL);
        if (waitpid(child.si_pid, &status, WNOHANG) != child.si_pid)
            return;
        if (supervisor->generation != NULL)
            generation_reaped(supervisor->generation, child.si_pid, status);
    }
}

/* ---- from the beginning to the end ---- */

static void
open_events(struct supervisor *supervisor)
{
    supervisor->base = event_base_new();
    if (supervisor->base == NULL)
        fatal(EX_OSERR, "no event loop");
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        supervisor->signals[i] =
            evsignal_new(supervisor->base, SIGNALS[i].number, SIGNALS[i].callback, supervisor);
        if (supervisor->signals[i] == NULL || event_add(supervisor->signals[i], NULL) != 0)
            fatal(EX_OSERR, "no event for signal %d", SIGNALS[i].number);
    }
    supervisor->deadline = timer_new(supervisor->base, on_deadline, supervisor);
    supervisor->pause = timer_new(supervisor->base, on_pause_over, supervisor);
}

static void
close_events(struct supervisor *supervisor)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        event_free(supervisor->signals[i]);
    event_free(supervisor->deadline);
    event_free(supervisor->pause);
    event_base_free(supervisor->base);
}

int
supervisor_run(struct master *master)
{
    struct supervisor supervisor = {.master = master, .status = EX_OK};

    signal(SIGPIPE, SIG_IGN);
    status_begin();
    open_events(&supervisor);
    supervisor.supply = (struct supply){.base = supervisor.base,
        .configuration = &master->configuration,
        .secrets = &master->secrets,
        .programs = &master->programs,
        .logs = &master->logs,
        .on_demand = options_on_demand(&master->options),
        .listener = master->instance.listener,
        .client = master->options.client};
    for (size_t i = 0; i < ROLE_COUNT; i++)
        supervisor.inheritance[i] = -1;
    log_info("started, process %d", (int)getpid());
    start_generation(&supervisor);
    if (event_base_dispatch(supervisor.base) < 0)
        fatal(EX_OSERR, "the event loop failed");
    drop_next(&supervisor);
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        if (supervisor.inheritance[i] >= 0)
            close(supervisor.inheritance[i]);
    }
    close_events(&supervisor);
    log_info("ended with status %d", supervisor.status);
    return supervisor.status;
}
