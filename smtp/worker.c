#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/service.h"
#include "lib/text.h"
#include "smtp/in_hand.h"
#include "smtp/link.h"
#include "smtp/patience.h"
#include "smtp/secret.h"
#include "smtp/token.h"
#include "smtp/transaction.h"
#include "smtp/worker.h"

/* The jobs that a worker wants in hand: with pipelining, the next ones while the reply to one is
 * under way; without, just the next one. */
#define ROOM_PIPELINING 4
#define ROOM_PLAIN 2

/* A mail that so many sessions ended on before it was tried is qmgr's again. */
#define RETURNS_MOST 2

#define LINE_SIZE 1001 /* DIALOGUE's limit and a NUL */

static struct {
    bool running;
    bool ended; /* nothing more is to be done but to tell qmgr so */
    struct worker_start start;
    struct link link;
    struct token token;
    bool connected;
    struct transaction transaction; /* while connected */
    struct in_hand in_hand; /* mails that the session has not got */
    uint64_t given; /* mails that the session got */
    bool stopping;
    bool quitting; /* the session gets no more */
    struct channel *qmgr;
    struct event *tick;
    int64_t moved_at; /* ms, monotonic: when octets last went either way */
    struct mail_times times;
} worker;

static void settle(void);

bool
worker_is_this(void)
{
    return worker.running;
}

static void
tell_line(void *context, bool by_us, const char *line, size_t length)
{
    char text[LINE_SIZE];
    size_t used = strlcpy(text, by_us ? "C: " : "S: ", sizeof(text));

    (void)context;
    if (!worker.start.verbose)
        return;
    text_escape_bytes(text + used, sizeof(text) - used, line, length);
    service_send(
        worker.qmgr, &(struct message){MESSAGE_DIALOGUE, .dialogue = {.job = 0, .line = text}});
}

static void
on_spoken(void *context, const struct job *job, bool by_us, const char *line, size_t length)
{
    if (job != NULL)
        mail_transcribe(job->context, worker.link.relay, by_us, line, length);
    tell_line(context, by_us, line, length);
}

static void
report(struct mail *mail, size_t recipient, enum stage stage, const struct reply *reply)
{
    mail_report(mail, recipient, stage, reply, worker.link.relay, &worker.times, worker.qmgr);
}

static void
on_told(
    void *context, struct job *job, size_t recipient, enum stage stage, const struct reply *reply)
{
    struct mail *mail = job->context;

    (void)context;
    if (stage == STAGE_UNTRIED && mail->told == 0 && !worker.stopping && !mail->recalled &&
        mail->returns < RETURNS_MOST)
        mail->again = true;
    else
        report(mail, recipient, stage, reply);
}

static void
on_finished(void *context, struct job *job)
{
    struct mail *mail = job->context;

    (void)context;
    if (!mail->again) {
        mail_free(mail);
        return;
    }
    mail->again = false;
    mail->returns++;
    in_hand_return(&worker.in_hand, mail);
}

/* A mail whose time is over is qmgr's again: by then somebody else may send it. */
static bool
may_begin(void *context, struct job *job)
{
    struct mail *mail = job->context;

    (void)context;
    if (mail->begin_until_ns == 0 || clock_monotonic_ms() < mail->begin_until_ns / 1000000)
        return true;
    log_info("%s: not begun: the lease is about to end", mail->id);
    mail->recalled = true;
    return false;
}

static const struct transaction_events TRANSACTION_EVENTS = {
    .told = on_told, .finished = on_finished, .spoken = on_spoken, .may_begin = may_begin};

/* Gives the session what it may have. */
static void
feed(void)
{
    struct mail *mail;

    while (!worker.quitting && (mail = in_hand_next(&worker.in_hand)) != NULL) {
        if (!transaction_add(&worker.transaction, &mail->job))
            return;
        in_hand_passed_on(&worker.in_hand);
        worker.quitting = ++worker.given >= worker.start.settings->mails_per_connection;
        if (worker.quitting)
            transaction_quit(&worker.transaction);
    }
}

static void
receive(void)
{
    static char octets[65536];
    enum session_progress progress = SESSION_DONE;

    while (progress == SESSION_DONE && !transaction_over(&worker.transaction)) {
        size_t received;

        progress = session_receive(worker.link.session, octets, sizeof(octets), &received);
        if (progress == SESSION_DONE) {
            worker.moved_at = clock_monotonic_ms();
            transaction_receive(&worker.transaction, octets, received);
            /* The socket is empty, which spares the call that would say so. */
            if (received < sizeof(octets) && !session_encrypted(worker.link.session))
                return;
        } else if (progress != SESSION_AGAIN) {
            transaction_break(&worker.transaction, "lost connection");
        }
    }
}

static void
send_output(void)
{
    const char *octets;
    size_t length;
    size_t sent;

    while ((octets = transaction_output(&worker.transaction, &length)) != NULL) {
        switch (session_send(worker.link.session, octets, length, &sent)) {
        case SESSION_DONE:
            worker.moved_at = clock_monotonic_ms();
            transaction_sent(&worker.transaction, sent);
            break;
        case SESSION_AGAIN:
            if (session_encrypted(worker.link.session))
                transaction_touched(&worker.transaction);
            return;
        default:
            /* The server may have said why it went. */
            receive();
            transaction_break(&worker.transaction, "lost connection");
            return;
        }
    }
}

static void
pump(void)
{
    if (!worker.connected)
        return;
    feed();
    send_output();
    settle();
}

static void
tell_failure(const struct session_failure *failure)
{
    struct decision decision = outcome_decide(failure->stage, failure->code, failure->enhanced);
    char enhanced[ENHANCED_TEXT_SIZE];

    service_send(worker.qmgr, &(struct message){.type = MESSAGE_LINK_FAILED,
                                  .link_failed = {.stage = failure->stage,
                                      .code = failure->code,
                                      .enhanced = enhanced_print(decision.enhanced, enhanced),
                                      .relay = worker.link.relay,
                                      .words = failure->words}});
}

static void
close_session(void)
{
    link_close(&worker.link);
    worker.connected = false;
}

/* qmgr takes back what is in hand, and starts another worker when it wants one. */
static void
give_up(const struct session_failure *failure)
{
    tell_failure(failure);
    worker.ended = true;
}

static void
on_failed(void *context, const struct session_failure *failure)
{
    (void)context;
    if (!token_renew(&worker.token, failure))
        give_up(failure);
}

static void
on_connected(void *context)
{
    struct capabilities capabilities = *session_capabilities(worker.link.session);

    (void)context;
    capabilities.pipelining =
        capabilities.pipelining && worker.start.settings->pipelining && !worker.start.in_steps;
    capabilities.login = capabilities.login && worker.start.settings->pass_auth;
    worker.connected = true;
    token_taken(&worker.token);
    worker.times.connected_ns = mail_clock();
    worker.moved_at = clock_monotonic_ms();
    worker.given = 0;
    worker.quitting = false;
    transaction_init(&worker.transaction, &capabilities, &TRANSACTION_EVENTS, NULL);
    worker.transaction.resets = worker.start.in_steps;
    service_send(
        worker.qmgr, &(struct message){.type = MESSAGE_LINK_UP,
                         .link_up = {.relay = worker.link.relay,
                             .room = capabilities.pipelining ? ROOM_PIPELINING : ROOM_PLAIN,
                             .tells = (capabilities.dsn ? RELAY_TELLS_SUCCESS : 0) |
                                      (capabilities.deliver_by ? RELAY_TELLS_TIME : 0) |
                                      (capabilities.enhanced_codes ? RELAY_TELLS_CODES : 0)}});
    pump();
}

static void
on_readable(void *context)
{
    (void)context;
    receive();
    /* A death in what comes next must not make the relay's answers unheard. */
    log_release();
    channel_flush(worker.qmgr);
    pump();
}

static void
on_writable(void *context)
{
    (void)context;
    pump();
}

static const struct session_events SESSION_EVENTS = {
    on_connected, on_failed, on_readable, on_writable, tell_line};

static void
open_session(void)
{
    worker.times.opened_ns = mail_clock();
    if (!token_ask(&worker.token))
        link_open(&worker.link);
}

void
worker_handle_token(struct channel *from, const struct message *message)
{
    struct session_failure failure = worker.link.failure;

    (void)from;
    if (!worker.ended) {
        if (token_take(&worker.token, &message->worker_token, &failure))
            link_open(&worker.link);
        else
            give_up(&failure);
    }
    message_discard(message);
}

/* True where QUIT is on its way, or nothing can be any more. Its reply is not waited for, but when
 * somebody watches. */
static bool
session_is_done(void)
{
    size_t length;

    if (transaction_over(&worker.transaction))
        return true;
    return worker.quitting && !worker.start.verbose && transaction_jobs(&worker.transaction) == 0 &&
           transaction_output(&worker.transaction, &length) == NULL;
}

static bool
is_idle(void)
{
    return in_hand_is_empty(&worker.in_hand) &&
           (!worker.connected || transaction_jobs(&worker.transaction) == 0);
}

/* What is to be done next where the session, or the work, is at its end. */
static void
settle(void)
{
    if (worker.connected && worker.stopping && !worker.quitting && is_idle()) {
        worker.quitting = true;
        transaction_quit(&worker.transaction);
        send_output();
    }
    if (worker.connected && session_is_done())
        close_session();
    if (worker.connected)
        return;
    if (is_idle() && worker.stopping) {
        /* A session that is still connecting is left to the end of the process: closing it would
         * wait for the resolver. */
        worker.ended = true;
    } else if (!is_idle() && worker.link.session == NULL && !token_is_awaited(&worker.token)) {
        open_session();
    }
}

void
worker_handle_deliver(struct channel *from, const struct message *message)
{
    struct error error;
    struct mail *mail;

    (void)from;
    if (worker.ended) {
        message_discard(message);
        return;
    }
    mail = mail_new(&message->deliver, &error);
    if (mail == NULL)
        fatal(EX_PROTOCOL, "%s", error.text);
    in_hand_add(&worker.in_hand, mail);
    if (worker.connected)
        pump();
    else
        settle();
}

static void
return_untried(struct mail *mail)
{
    static const struct reply REPLY = {.words = "it was asked back"};

    for (size_t i = 0; i < mail->job.recipient_count; i++)
        report(mail, i, STAGE_UNTRIED, &REPLY);
    mail_free(mail);
}

void
worker_handle_recall(struct channel *from, const struct message *message)
{
    uint64_t number = message->recall.job;
    struct mail *mail = worker.connected ? mail_in_session(&worker.transaction, number) : NULL;

    (void)from;
    if (worker.ended)
        return;
    if (mail != NULL) {
        mail->recalled = true;
        if (!transaction_recall(&worker.transaction, mail))
            mail->recalled = false;
        return;
    }
    mail = in_hand_take(&worker.in_hand, number);
    if (mail != NULL && mail->told == 0)
        return_untried(mail);
    else if (mail != NULL)
        in_hand_return(&worker.in_hand, mail);
}

void
worker_handle_stop(struct channel *from, const struct message *message)
{
    (void)from;
    (void)message;
    worker.stopping = true;
    if (!worker.ended)
        settle();
}

void
worker_handle_log(struct channel *from, const struct message *message)
{
    (void)from;
    log_redirect(message->worker_log.log, (enum log_target)message->worker_log.target);
}

void
worker_left(struct channel *channel)
{
    if (channel != worker.qmgr)
        return;
    worker.qmgr = NULL;
    worker.ended = true;
}

static void
on_tick(evutil_socket_t descriptor, short what, void *context)
{
    int64_t now = clock_monotonic_ms();
    int64_t limit =
        worker.connected ? patience_with(&worker.transaction, worker.start.settings) : 0;
    struct session_failure failure;

    (void)descriptor;
    (void)what;
    (void)context;
    atomic_store(worker.start.beat, now);
    if (limit > 0 && now - worker.moved_at >= limit) {
        transaction_break(&worker.transaction, "the relay did not answer in time");
        settle();
    }
    if (!worker.ended && token_is_late(&worker.token, &failure))
        give_up(&failure);
    service_timer_start(worker.tick, WORKER_BEAT_MS);
}

/* From a copy of the parent to a worker that has nothing but what it needs. */
static void
become_worker(void)
{
    struct error error;
    const char *secret;

    signal(SIGCHLD, SIG_DFL);
    service_forked(ROLE_WORKER);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        log_warn("a worker that would outlive its parent cannot be prevented");
    secret = secrets_take(worker.start.account, &error);
    if (secret == NULL)
        fatal(EX_OSERR, "%s", error.text);
    link_init(&worker.link, service_base(), worker.start.settings, worker.start.authorities,
        worker.start.local_name, secret, &SESSION_EVENTS);
    token_init(&worker.token, worker.start.settings);
    if (!sandbox_enter(ROLE_WORKER, NULL, 0, service_sandbox_mode(), &error))
        fatal(EX_OSERR, "enter the worker's sandbox: %s", error.text);
}

_Noreturn void
worker_run(const struct worker_start *start)
{
    worker.running = true;
    worker.start = *start;
    in_hand_init(&worker.in_hand);
    become_worker();
    worker.qmgr = service_adopt(start->qmgr, ROLE_QMGR, 0);
    service_adopt(start->parent, ROLE_SMTP, 0);
    worker.tick = service_timer(on_tick, NULL);
    service_timer_start(worker.tick, WORKER_BEAT_MS);
    open_session();
    while (!worker.ended) {
        log_hold();
        event_base_loop(service_base(), EVLOOP_ONCE);
        log_release();
    }
    channel_flush(worker.qmgr);
    while (worker.qmgr != NULL && channel_backlog(worker.qmgr) > 0)
        event_base_loop(service_base(), EVLOOP_ONCE);
    secrets_wipe();
    _exit(EX_OK);
}
