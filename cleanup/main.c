/*
 * smailer-cleanup: reads what strangers wrote, and makes messages of it. It sees a descriptor and a
 * number, never whose mail it is.
 */
#include <string.h>
#include <sys/time.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "lib/job_number.h"
#include "lib/log.h"
#include "lib/mail_id.h"
#include "lib/mark.h"
#include "lib/service.h"

#include "cleanup/job.h"
#include "cleanup/judge.h"
#include "cleanup/notice.h"

/* Files that a peer may have sent and not heard of; each is a descriptor in flight. The cleanup
 * that serves listings, the last one, has more: there programs wait for each other more than for
 * files. Not many more, for a file that ends a cleanup takes the lines of those in flight with it.
 */
enum { ROOM_FINDER = 16, ROOM_LISTING = 32, ROOM_CONTROL = 2 };

/* While there is more to do, that fraction of the room is granted at a time. */
enum { ROOM_LUMPS = 4 };

/* Room that is to be granted again. */
static struct {
    struct channel *peer;
    uint32_t count;
    struct event *idle;
} owed;

/* The job under way, for qmgr to read. */
static struct {
    struct mark *mark;
    int descriptor;
} at_work;

static bool
prepare(struct service_paths *paths, struct error *error)
{
    (void)paths;
    return judge_open(service_configuration(), error) && job_open(service_configuration(), error);
}

/* Gives this process the processor time for one file from now on, then SIGPROF ends it. A disk that
 * is slow is not the file's fault, so time spent waiting does not count. What the files of the last
 * moment took is less than a hundredth of it, and spares a system call for each of them. */
static void
limit_time(void)
{
    static int64_t limited_at = INT64_MIN / 2; /* ms */
    int64_t milliseconds = service_configuration()->programs[ROLE_CLEANUP].time_limit;
    struct itimerval limit = {
        .it_value = {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000},
    };
    struct timespec time;
    int64_t now;

    clock_gettime(CLOCK_MONOTONIC, &time);
    now = (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
    if (now - limited_at <= milliseconds / 100)
        return;
    limited_at = now;
    if (setitimer(ITIMER_PROF, &limit, NULL) != 0)
        fatal(EX_OSERR, "the time for a file cannot be limited");
}

static void
send_verdict(uint64_t job, const struct judgement *judgement)
{
    struct message message = {
        .type = MESSAGE_VERDICT,
        .verdict =
            {
                .job = job,
                .verdict = judgement->verdict,
                .flags = judgement->flags,
                .items = judgement->items,
                .time = judgement->written,
                .sender = judgement->sender,
                .account = judgement->account,
                .envelope_id = judgement->envelope_id,
                .auth = judgement->auth,
                .deliver_by = judgement->deliver_by,
                .recipients = {judgement->recipients.data, judgement->recipients.used},
                .details = {judgement->details.data, judgement->details.used},
                .problems = {judgement->problems.data, judgement->problems.used},
                .reason = judgement->reason,
                .small = judgement->small,
                .content = judgement->content,
                .encoded = judgement->encoded,
            },
    };

    service_send(service_peer(ROLE_QMGR, 0), &message);
}

static void
send_listed(uint64_t job, const struct judgement *judgement)
{
    struct message message = {
        .type = MESSAGE_LISTED,
        .listed =
            {
                .job = job,
                .verdict = judgement->verdict,
                .time = judgement->written,
                .sender = judgement->sender,
                .recipients = {judgement->recipients.data, judgement->recipients.used},
                .subject = judgement->subject.data,
                .reason = judgement->reason,
            },
    };

    service_send(service_peer(ROLE_CONTROL, 0), &message);
}

static void
log_judgement(uint64_t hash, const struct judgement *judgement)
{
    const char *domain = strrchr(judgement->sender, '@');
    char id[MAIL_ID_SIZE];

    mail_id_format(id, sizeof(id), judgement->written, hash);
    if ((judgement->flags & MAIL_FLAG_NO_TIME) != 0)
        log_info("%s: no possible fld_time, the file's time stands in for it", id);
    if (judgement->verdict == VERDICT_MAIL)
        log_info("%s: message-id=<%s%s>", id, id, domain != NULL ? domain : "");
    else if (judgement->verdict == VERDICT_LIST)
        log_info("%s: a list of %u mails", id, judgement->items);
    else
        log_warn("%s: %s", id, judgement->reason);
}

static void
grant_room(struct channel *peer, uint32_t count)
{
    service_send(
        peer, &(struct message){.type = MESSAGE_PARSE_ROOM, .parse_room = {.count = count}});
}

static void
pay(void)
{
    uint32_t count = owed.count;

    owed.count = 0;
    if (count > 0)
        grant_room(owed.peer, count);
}

static void
on_idle(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    pay();
}

/* For a finder. */
static uint32_t
finder_room(void)
{
    bool lists = service_instance() == service_configuration()->programs[ROLE_CLEANUP].instances;

    return lists ? ROOM_LISTING : ROOM_FINDER;
}

/* Room for the next file, in lumps while there is more to do. */
static void
owe_room(struct channel *peer)
{
    if (owed.peer != peer)
        pay();
    owed.peer = peer;
    if (owed.count++ == 0)
        service_timer_start(owed.idle, 0);
    if (owed.count >= finder_room() / ROOM_LUMPS)
        pay();
}

static void
handle_parse(struct channel *from, const struct message *message)
{
    static struct judgement judgement;
    const struct message_parse *parse = &message->parse;

    service_worked(); /* that it began well is true, and known, also where this file is its end */
    limit_time();
    mark_set(at_work.mark, parse->job);
    (parse->mqueue > 0 ? judge_job : judge_file)(parse, &judgement);
    close(parse->file);
    if (parse->data >= 0)
        close(parse->data);
    if (parse->purpose == PARSE_LIST) {
        send_listed(parse->job, &judgement);
    } else {
        log_judgement(parse->hash, &judgement);
        send_verdict(parse->job, &judgement);
    }
    if (judgement.content >= 0)
        close(judgement.content);
    if (judgement.encoded >= 0)
        close(judgement.encoded);
    owe_room(from);
}

static void
handle_notice(struct channel *from, const struct message *message)
{
    struct message made = {
        .type = MESSAGE_NOTICE_MADE,
        .notice_made = {.job = message->notice.job, .reason = "", .content = -1},
    };
    struct error error;

    limit_time();
    mark_set(at_work.mark, message->notice.job);
    if (!notice_compose(
            &message->notice, &made.notice_made.content, &made.notice_made.header, &error)) {
        error.text[JUDGE_REASON_MAX] = '\0';
        made.notice_made.reason = error.text;
    }
    service_send(from, &made);
    if (made.notice_made.content >= 0)
        close(made.notice_made.content);
    if (message->notice.content >= 0)
        close(message->notice.content);
}

/* Nobody may send a file before there is somebody to tell the verdict, and room is granted once. */
static void
grant_first_room(enum role role, uint32_t instance, uint32_t count)
{
    static char granted;
    struct channel *peer = service_peer(role, instance);

    if (peer == NULL || channel_context(peer) != NULL || service_peer(ROLE_QMGR, 0) == NULL)
        return;
    channel_set_context(peer, &granted);
    grant_room(peer, count);
}

static void
peer_joined(struct channel *peer)
{
    if (channel_peer(peer) == ROLE_QMGR)
        service_send(peer, &(struct message){MESSAGE_AT_WORK, .at_work = {at_work.descriptor}});
    grant_first_room(ROLE_PICKUP, 0, finder_room());
    grant_first_room(ROLE_CONTROL, 0, ROOM_CONTROL);
    for (uint32_t i = 0; i < JOB_SQL_MAX; i++)
        grant_first_room(ROLE_SQL, i, finder_room());
}

static void
peer_left(struct channel *peer)
{
    if (owed.peer == peer)
        owed.count = 0;
}

static bool
start(int inheritance, struct error *error)
{
    (void)inheritance;
    owed.idle = service_timer(on_idle, NULL);
    at_work.mark = mark_create(&at_work.descriptor, error);
    return at_work.mark != NULL;
}

static const struct service_handler HANDLERS[] = {
    {MESSAGE_PARSE, handle_parse},
    {MESSAGE_NOTICE, handle_notice},
};

static const struct service SERVICE = {
    .role = ROLE_CLEANUP,
    .prepare = prepare,
    .start = start,
    .peer_joined = peer_joined,
    .peer_left = peer_left,
    .handlers = HANDLERS,
    .handler_count = sizeof(HANDLERS) / sizeof(HANDLERS[0]),
};

int
main(int argc, char **argv)
{
    return service_main(&SERVICE, argc, argv);
}
