#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "lib/text.h"

/* How often a log that cannot be written any more is noticed. */
#define LOG_CHECK_MS 5000

struct peer {
    LIST_ENTRY(peer) next;
    struct channel *channel;
};

/* What a process is. */
static struct {
    const struct service *service;
    enum role role;
    struct event_base *base;
    struct event *log_timer;
    struct channel *master;
    LIST_HEAD(, peer) peers;
    struct configuration configuration;
    uint32_t instance;
    bool on_demand;
    bool configured;
    bool worked;
    bool ending;
    int status;
    void (*handlers[MESSAGE_COUNT])(struct channel *, const struct message *);
} process;

static struct peer *
find_peer(const struct channel *channel)
{
    struct peer *peer;

    LIST_FOREACH(peer, &process.peers, next)
    {
        if (peer->channel == channel)
            return peer;
    }
    return NULL;
}

static void
forget_peer(struct channel *channel)
{
    struct peer *peer = find_peer(channel);

    if (peer == NULL)
        return;
    LIST_REMOVE(peer, next);
    free(peer);
}

static void
trace(const char *direction, struct channel *channel, const struct message *message)
{
    char text[1024];

    if (!log_is_at(LOG_LEVEL_DEBUG))
        return;
    message_trace(message, text, sizeof(text));
    log_debug("%s %s[%u] %s", direction, role_name(channel_peer(channel)),
        channel_instance(channel), text);
}

static void
on_received(struct channel *channel, const struct message *message)
{
    trace("<-", channel, message);
    process.handlers[message->type](channel, message);
}

/* A peer of the same tree that broke the rules: master ends it. */
static void
denounce(struct channel *channel, const char *reason)
{
    struct message message = {MESSAGE_BAD_PEER, .bad_peer = {.role = channel_peer(channel),
                                                    .instance = channel_instance(channel),
                                                    .reason = reason}};
    char shortened[256];

    log_error("%s[%u]: %s", role_name(channel_peer(channel)), channel_instance(channel), reason);
    if (channel_peer(channel) == ROLE_WORKER || channel_peer(channel) == ROLE_CLIENT)
        return;
    text_format(shortened, sizeof(shortened), "%s", reason);
    message.bad_peer.reason = shortened;
    service_send(process.master, &message);
}

static void
on_closed(struct channel *channel, const char *reason)
{
    if (channel == process.master) {
        service_end(process.status);
        return;
    }
    if (reason[0] != '\0')
        denounce(channel, reason);
    forget_peer(channel);
    if (process.service->peer_left != NULL)
        process.service->peer_left(channel);
    channel_close(channel);
}

static const struct channel_events EVENTS = {on_received, on_closed};

struct channel *
service_adopt(int descriptor, enum role role, uint32_t instance)
{
    struct peer *peer = memory_new(1, sizeof(*peer));

    peer->channel =
        channel_open(process.base, descriptor, process.role, role, instance, &EVENTS, NULL);
    LIST_INSERT_HEAD(&process.peers, peer, next);
    return peer->channel;
}

void
service_dismiss(struct channel *peer)
{
    forget_peer(peer);
    channel_close(peer);
}

struct channel *
service_peer(enum role role, uint32_t instance)
{
    struct peer *peer;

    LIST_FOREACH(peer, &process.peers, next)
    {
        if (channel_peer(peer->channel) == role && channel_instance(peer->channel) == instance)
            return peer->channel;
    }
    return NULL;
}

enum sandbox_mode
service_sandbox_mode(void)
{
    static const enum sandbox_mode MODES[] = {
        [SANDBOX_CHOICE_AUTO] = SANDBOX_AUTO,
        [SANDBOX_CHOICE_REQUIRED] = SANDBOX_REQUIRED,
        [SANDBOX_CHOICE_OFF] = SANDBOX_OFF,
    };

    return MODES[process.configuration.settings.sandbox];
}

/* Everything between the configuration and the service, in the one order that is right. */
static bool
begin(const struct message_configure *configure, struct error *error)
{
    static struct service_paths paths;
    const struct service *service = process.service;

    process.instance = configure->instance;
    process.on_demand = configure->on_demand != 0;
    if (!configuration_decode(
            &process.configuration, process.role, configure->configuration, error))
        return error_prefix(error, "read the configuration that master gave");
    log_set_level((enum log_level)process.configuration.settings.log_level);
    if (service->prepare != NULL && !service->prepare(&paths, error))
        return error_prefix(error, "prepare");
    if (!sandbox_enter(process.role, paths.paths, paths.count, service_sandbox_mode(), error))
        return error_prefix(error, "enter the sandbox");
    return service->start == NULL || service->start(configure->inheritance, error);
}

static void
handle_configure(struct channel *from, const struct message *message)
{
    struct error error;

    if (process.configured)
        fatal(EX_SOFTWARE, "%s configured this process twice", role_name(channel_peer(from)));
    process.configured = true;
    if (!begin(&message->configure, &error))
        fatal(EX_CONFIG, "%s", error.text);
    close(message->configure.configuration);
    if (message->configure.inheritance >= 0)
        close(message->configure.inheritance);
    service_send(process.master, &(struct message){.type = MESSAGE_READY});
}

/* Who takes another one's place may be heard of before that one's pipe is seen to be closed: what
 * it still said is heard first. */
static void
peer_leaves(enum role role, uint32_t instance)
{
    struct channel *peer = service_peer(role, instance);

    if (peer != NULL)
        channel_read_out(peer);
    peer = service_peer(role, instance);
    if (peer != NULL)
        on_closed(peer, "");
}

static void
handle_peer(struct channel *from, const struct message *message)
{
    struct channel *peer;

    (void)from;
    if (message->peer.role >= ROLE_COUNT) {
        close(message->peer.channel);
        return;
    }
    peer_leaves((enum role)message->peer.role, message->peer.instance);
    peer =
        service_adopt(message->peer.channel, (enum role)message->peer.role, message->peer.instance);
    if (process.service->peer_joined != NULL)
        process.service->peer_joined(peer);
}

static void
handle_log(struct channel *from, const struct message *message)
{
    (void)from;
    /* What libc itself has to say goes there too, and the old file is let go. */
    if (message->log.target == LOG_TARGET_FILE && dup2(message->log.log, STDERR_FILENO) < 0)
        log_warn("take the log as standard error: %s", strerror(errno));
    log_redirect(message->log.log, (enum log_target)message->log.target);
}

static void
handle_drain(struct channel *from, const struct message *message)
{
    (void)from;
    (void)message;
    if (process.service->drain != NULL)
        process.service->drain();
    else
        service_drained(-1);
}

/* A message that this program has no use for. */
static void
ignore(struct channel *from, const struct message *message)
{
    (void)from;
    message_discard(message);
}

/* What every program handles, and then what this one does. */
static void
fill_handlers(void)
{
    for (size_t i = 0; i < MESSAGE_COUNT; i++)
        process.handlers[i] = ignore;
    process.handlers[MESSAGE_CONFIGURE] = handle_configure;
    process.handlers[MESSAGE_PEER] = handle_peer;
    process.handlers[MESSAGE_LOG] = handle_log;
    process.handlers[MESSAGE_DRAIN] = handle_drain;
    for (size_t i = 0; i < process.service->handler_count; i++)
        process.handlers[process.service->handlers[i].type] = process.service->handlers[i].handle;
}

static void
check_log(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    if (log_lost())
        service_send(process.master, &(struct message){.type = MESSAGE_LOG_LOST});
    service_timer_start(process.log_timer, LOG_CHECK_MS);
}

/* Signals are master's business: what reaches the whole process group must not end a child. */
static void
ignore_signals(void)
{
    static const int IGNORED[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE};

    for (size_t i = 0; i < sizeof(IGNORED) / sizeof(IGNORED[0]); i++)
        signal(IGNORED[i], SIG_IGN);
}

/* With TZ unset, strftime() and mktime() look for the zone's file each time, and fall back to UTC
 * where the sandbox refuses it. */
static void
fix_time_zone(void)
{
    setenv("TZ", ":/etc/localtime", 0);
    tzset();
}

static void
open_base(void)
{
    process.base = event_base_new();
    if (process.base == NULL)
        fatal(EX_OSERR, "no event loop");
}

/* For whoever looks what it is. */
static int
explain(enum role role, char **argv)
{
    bool asked = argv[1] != NULL && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0);

    fprintf(asked ? stdout : stderr,
        "smailer-%s is one of smailer's programs: smailer-master starts it, without arguments.\n"
        "See smailer-%s(8).\n",
        role_name(role), role_name(role));
    return asked ? EX_OK : EX_USAGE;
}

/* What was said before the end, fatal() included, is to be heard. */
static void
flush_peers(void)
{
    struct peer *peer;

    log_release();
    LIST_FOREACH(peer, &process.peers, next)
    channel_flush(peer->channel);
    if (process.master != NULL)
        channel_flush(process.master);
}

/* One turn after another, until service_end(). */
static void
serve(void)
{
    while (!process.ending) {
        log_hold();
        if (event_base_loop(process.base, EVLOOP_ONCE) < 0)
            fatal(EX_OSERR, "the event loop failed");
        log_release();
    }
}

int
service_main(const struct service *service, int argc, char **argv)
{
    if (argc != 1)
        return explain(service->role, argv);
    log_open(role_name(service->role));
    /* Executed by its descriptor, it would be called after that. */
    prctl(PR_SET_NAME, argv[0]);
    fix_time_zone();
    ignore_signals();
    process.service = service;
    process.role = service->role;
    LIST_INIT(&process.peers);
    fill_handlers();
    open_base();
    if (atexit(flush_peers) != 0)
        fatal(EX_OSERR, "no memory for what is done at the end");
    process.log_timer = service_timer(check_log, NULL);
    service_timer_start(process.log_timer, LOG_CHECK_MS);
    process.master = channel_open(
        process.base, SERVICE_DESCRIPTOR, service->role, ROLE_MASTER, 0, &EVENTS, NULL);
    serve();
    return process.status;
}

void
service_allow(struct service_paths *paths, const char *path, unsigned int access)
{
    if (paths->count == SERVICE_PATHS_MAX)
        fatal(EX_CONFIG, "more than %d directories for one process", SERVICE_PATHS_MAX);
    paths->paths[paths->count++] =
        (struct sandbox_path){.path = path, .descriptor = -1, .access = access};
}

const struct configuration *
service_configuration(void)
{
    return &process.configuration;
}

struct event_base *
service_base(void)
{
    return process.base;
}

uint32_t
service_instance(void)
{
    return process.instance;
}

bool
service_on_demand(void)
{
    return process.on_demand;
}

struct channel *
service_master(void)
{
    return process.master;
}

void
service_send(struct channel *channel, const struct message *message)
{
    struct error error;

    if (channel == NULL)
        return;
    trace("->", channel, message);
    if (!channel_send(channel, message, &error))
        fatal(EX_SOFTWARE, "%s", error.text);
}

void
service_worked(void)
{
    if (process.worked)
        return;
    process.worked = true;
    service_send(process.master, &(struct message){.type = MESSAGE_WORKED});
    channel_flush(process.master);
}

void
service_drained(int inheritance)
{
    service_send(process.master,
        &(struct message){MESSAGE_DRAINED, .drained = {.inheritance = inheritance}});
}

void
service_end(int status)
{
    process.status = status;
    process.ending = true;
    event_base_loopbreak(process.base);
}

struct event *
service_timer(event_callback_fn callback, void *context)
{
    struct event *timer = evtimer_new(process.base, callback, context);

    if (timer == NULL)
        fatal(EX_OSERR, "no memory for a timer");
    return timer;
}

void
service_timer_start(struct event *timer, int64_t milliseconds)
{
    struct timeval interval = {milliseconds / 1000, (milliseconds % 1000) * 1000};

    if (evtimer_add(timer, &interval) != 0)
        fatal(EX_OSERR, "a timer cannot be started");
}

void
service_forked(enum role role)
{
    struct peer *peer;

    if (event_reinit(process.base) != 0)
        fatal(EX_OSERR, "the event loop did not survive a fork");
    while ((peer = LIST_FIRST(&process.peers)) != NULL) {
        struct channel *channel = peer->channel;

        forget_peer(channel);
        channel_abandon(channel);
    }
    channel_abandon(process.master);
    process.master = NULL;
    event_free(process.log_timer);
    event_base_free(process.base);
    process.role = role;
    open_base();
}
