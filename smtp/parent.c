#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/sandbox.h"
#include "lib/text.h"
#include "lib/thread.h"
#include "smtp/authority.h"
#include "smtp/parent.h"
#include "smtp/resolver.h"
#include "smtp/secret.h"
#include "smtp/worker.h"

/* How often the workers are looked at, and after which silence one is killed, in ms. */
#define WATCH_MS 2000
#define SILENCE_MS 20000

struct child {
    LIST_ENTRY(child) next;
    pid_t pid;
    uint32_t number; /* qmgr's */
    uint32_t account;
    bool asks; /* for its account's token; REFUSED as it said */
    uint64_t refused;
    struct channel *channel; /* to it; NULL once it was closed */
    _Atomic int64_t *beat; /* shared with it */
    bool killed; /* by the watchdog */
};

static struct {
    LIST_HEAD(, child) children;
    X509_STORE *system_authorities;
    X509_STORE **authorities; /* by account; NULL: the system's */
    char local_name[256];
    struct event *child_ended;
    struct event *watch;
    bool draining;
} parent;

/* Signals that a worker gets for what it did itself: what it held may be to blame. */
static const int FAULTS[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGALRM, SIGXCPU};

/* An account whose file cannot be read believes no relay, and the others go on. */
static X509_STORE *
load_authorities(const char *path)
{
    struct error error;
    X509_STORE *store = authority_load(path, &error);

    if (error.text[0] != '\0')
        log_error("%s", error.text);
    return store;
}

struct preparation {
    bool done;
    struct error *error;
};

static void
load_all_authorities(const struct configuration *configuration)
{
    parent.system_authorities = load_authorities("");
    parent.authorities = memory_new(configuration->account_count, sizeof(X509_STORE *));
    for (size_t i = 0; i < configuration->account_count; i++) {
        const char *path = configuration->accounts[i].ca_file;

        if (path != NULL && path[0] != '\0')
            parent.authorities[i] = load_authorities(path);
    }
}

/* The name that EHLO says; it becomes part of a URL. */
static void
find_local_name(void)
{
    static const char ALLOWED[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";

    if (gethostname(parent.local_name, sizeof(parent.local_name) - 1) != 0 ||
        parent.local_name[0] == '\0' ||
        parent.local_name[strspn(parent.local_name, ALLOWED)] != '\0')
        text_format(parent.local_name, sizeof(parent.local_name), "localhost");
}

static void *
prepare_in_thread(void *context)
{
    struct preparation *preparation = context;

    load_all_authorities(service_configuration());
    preparation->done = service_sandbox_mode() == SANDBOX_OFF ||
                        (sandbox_prepare(ROLE_SMTP, preparation->error) &&
                            sandbox_prepare(ROLE_WORKER, preparation->error));
    return NULL;
}

/* A thread that was joined may be listed for a moment still, and the sandbox wants to see one. */
static void
wait_until_alone(void)
{
    static const struct timespec MOMENT = {.tv_nsec = 100000};
    struct stat threads;

    for (int i = 0; i < 10000; i++) {
        if (stat("/proc/self/task", &threads) != 0 || threads.st_nlink <= 3)
            return;
        nanosleep(&MOMENT, NULL);
    }
}

/* A thread has an arena of its own: what libc keeps for the certificates and the sandboxes, and the
 * holes that making them left, stay out of the heap that the workers go on with. That spares each
 * of them pages written to. */
static bool
prepare_apart(struct error *error)
{
    struct preparation preparation = {.error = error};
    pthread_t thread;

    if (!thread_start(&thread, prepare_in_thread, &preparation, "a preparing", error))
        return false;
    pthread_join(thread, NULL);
    wait_until_alone();
    return preparation.done;
}

bool
parent_prepare(struct service_paths *paths, struct error *error)
{
    (void)paths;
    LIST_INIT(&parent.children);
    if (curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK)
        return error_set(error, "initialise libcurl");
    resolver_load();
    find_local_name();
    return prepare_apart(error);
}

static void
drain_if_idle(void)
{
    if (parent.draining && LIST_EMPTY(&parent.children))
        service_drained(-1);
}

void
parent_drain(void)
{
    parent.draining = true;
    drain_if_idle();
}

static struct child *
find_child(pid_t pid)
{
    struct child *child;

    LIST_FOREACH(child, &parent.children, next)
    {
        if (child->pid == pid)
            return child;
    }
    return NULL;
}

static void
tell_gone(uint32_t number, bool fault, const char *reason)
{
    service_send(service_peer(ROLE_QMGR, 0),
        &(struct message){MESSAGE_WORKER_GONE,
            .worker_gone = {.worker = number, .fault = fault, .reason = reason}});
}

static bool
is_fault(int status)
{
    for (size_t i = 0; i < sizeof(FAULTS) / sizeof(FAULTS[0]); i++) {
        if (WIFSIGNALED(status) && WTERMSIG(status) == FAULTS[i])
            return true;
    }
    return false;
}

static void
bury(struct child *child, int status)
{
    char reason[128] = "";

    if (child->killed)
        text_format(reason, sizeof(reason), "it did not answer in time");
    else if (WIFSIGNALED(status))
        text_format(reason, sizeof(reason), "signal %d (%s)", WTERMSIG(status),
            strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        text_format(reason, sizeof(reason), "exit status %d", WEXITSTATUS(status));
    tell_gone(child->number, is_fault(status), reason);
    LIST_REMOVE(child, next);
    if (child->channel != NULL)
        service_dismiss(child->channel);
    munmap((void *)child->beat, sizeof(*child->beat));
    free(child);
}

static void
on_child_ended(evutil_socket_t signal_number, short what, void *context)
{
    pid_t pid;
    int status;

    (void)signal_number;
    (void)what;
    (void)context;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct child *child = find_child(pid);

        if (child != NULL)
            bury(child, status);
    }
    drain_if_idle();
}

/* libcurl's own time limits do not always hold. */
static void
on_watch(evutil_socket_t descriptor, short what, void *context)
{
    struct child *child;
    int64_t now = clock_monotonic_ms();

    (void)descriptor;
    (void)what;
    (void)context;
    LIST_FOREACH(child, &parent.children, next)
    {
        if (now - atomic_load(child->beat) < SILENCE_MS || child->killed)
            continue;
        log_warn("worker %u does not answer: it is killed", child->number);
        child->killed = kill(child->pid, SIGKILL) == 0;
    }
    service_timer_start(parent.watch, WATCH_MS);
}

bool
parent_start(int inheritance, struct error *error)
{
    (void)inheritance;
    parent.child_ended = evsignal_new(service_base(), SIGCHLD, on_child_ended, NULL);
    if (parent.child_ended == NULL || event_add(parent.child_ended, NULL) != 0)
        return error_set(error, "watch the workers");
    parent.watch = service_timer(on_watch, NULL);
    service_timer_start(parent.watch, WATCH_MS);
    return true;
}

void
parent_left(struct channel *peer)
{
    struct child *child;

    if (worker_is_this()) {
        worker_left(peer);
        return;
    }
    LIST_FOREACH(child, &parent.children, next)
    {
        if (child->channel == peer)
            child->channel = NULL;
    }
}

void
parent_handle_secret(struct channel *from, const struct message *message)
{
    (void)from;
    secrets_keep(message->secret.account, message->secret.secret);
}

static _Atomic int64_t *
new_beat(struct error *error)
{
    void *beat = mmap(
        NULL, sizeof(_Atomic int64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (beat == MAP_FAILED) {
        error_errno(error, "memory to share with a worker");
        return NULL;
    }
    atomic_store((_Atomic int64_t *)beat, clock_monotonic_ms());
    return beat;
}

/* Only returns in the parent: the worker's pid, or -1. */
static pid_t
fork_worker(
    const struct message_worker_start *wanted, const int ends[static 2], _Atomic int64_t *beat)
{
    X509_STORE *own = parent.authorities[wanted->account];
    struct worker_start start = {.account = wanted->account,
        .settings = &service_configuration()->accounts[wanted->account],
        .authorities = own != NULL ? own : parent.system_authorities,
        .local_name = parent.local_name,
        .verbose = wanted->kind != WORKER_PLAIN,
        .in_steps = wanted->kind == WORKER_SHOWN,
        .qmgr = wanted->channel,
        .parent = ends[1],
        .beat = beat};
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    LIST_INIT(&parent.children);
    close(ends[0]);
    worker_run(&start);
}

static bool
start_worker(const struct message_worker_start *wanted, struct error *error)
{
    struct child *child;
    _Atomic int64_t *beat;
    int ends[2];
    pid_t pid;

    if (wanted->account >= service_configuration()->account_count)
        return error_set(error, "there is no account %u", wanted->account);
    beat = new_beat(error);
    if (beat == NULL)
        return false;
    if (!channel_pair(ends, error)) {
        munmap((void *)beat, sizeof(*beat));
        return false;
    }
    pid = fork_worker(wanted, ends, beat);
    if (pid < 0)
        error_errno(error, "fork a worker");
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        munmap((void *)beat, sizeof(*beat));
        return false;
    }
    child = memory_new(1, sizeof(*child));
    child->pid = pid;
    child->number = wanted->worker;
    child->account = wanted->account;
    child->beat = beat;
    child->channel = service_adopt(ends[0], ROLE_WORKER, wanted->worker);
    LIST_INSERT_HEAD(&parent.children, child, next);
    return true;
}

void
parent_handle_worker_start(struct channel *from, const struct message *message)
{
    struct error error;

    (void)from;
    if (!start_worker(&message->worker_start, &error)) {
        error.text[255] = '\0';
        tell_gone(message->worker_start.worker, false, error.text);
    }
    close(message->worker_start.channel);
    service_worked();
}

static void
ask_token(const struct child *child)
{
    service_send(service_peer(ROLE_TOKEN, 0),
        &(struct message){MESSAGE_ASK_TOKEN,
            .ask_token = {
                .worker = child->number, .account = child->account, .refused = child->refused}});
}

/* Whose account it is, only the parent is believed. */
void
parent_handle_ask_token(struct channel *from, const struct message *message)
{
    struct child *child;

    LIST_FOREACH(child, &parent.children, next)
    {
        if (child->channel != from)
            continue;
        child->asks = true;
        child->refused = message->ask_token.refused;
        ask_token(child);
    }
}

/* One that took the place of another knows nothing of what that one was asked. */
void
parent_joined(struct channel *peer)
{
    struct child *child;

    if (channel_peer(peer) != ROLE_TOKEN)
        return;
    LIST_FOREACH(child, &parent.children, next)
    {
        if (child->asks)
            ask_token(child);
    }
}

void
parent_handle_token(struct channel *from, const struct message *message)
{
    const struct message_token *token = &message->token;
    struct child *child;

    (void)from;
    LIST_FOREACH(child, &parent.children, next)
    {
        if (child->number != token->worker || !child->asks)
            continue;
        child->asks = false;
        service_send(child->channel,
            &(struct message){MESSAGE_WORKER_TOKEN,
                .worker_token = {
                    .serial = token->serial, .problem = token->problem, .token = token->token}});
    }
    message_discard(message);
}

void
parent_handle_log(struct channel *from, const struct message *message)
{
    struct child *child;

    (void)from;
    LIST_FOREACH(child, &parent.children, next)
    {
        service_send(child->channel,
            &(struct message){MESSAGE_WORKER_LOG,
                .worker_log = {.target = message->log.target, .log = message->log.log}});
    }
    log_redirect(message->log.log, (enum log_target)message->log.target);
}
