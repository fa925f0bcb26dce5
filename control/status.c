#include <sysexits.h>

#include <bsd/string.h>

#include "control/finder.h"
#include "control/kinds.h"
#include "lib/service.h"

/* So long a program may take to say how it is. */
#define STATUS_MS 5000

struct status {
    struct request request;
    unsigned int awaited; /* ROLE_BITs of those that have not said all yet */
    uint64_t tables; /* of smailer-sql's instances, the same */
};

static const enum role ASKED[] = {ROLE_MASTER, ROLE_PICKUP, ROLE_QMGR};

#define ASKED_COUNT (sizeof(ASKED) / sizeof(ASKED[0]))

static void
begin_status(struct request *request, const struct message *message)
{
    struct status *status = (struct status *)request;
    struct message question = {MESSAGE_STATUS, .status = {.request = request->number}};

    (void)message;
    for (uint32_t i = 1; i < finder_count(); i++) {
        service_send(finder_channel(i), &question);
        status->tables |= UINT64_C(1) << i;
    }
    for (size_t i = 0; i < ASKED_COUNT; i++) {
        service_send(
            ASKED[i] == ROLE_MASTER ? service_master() : service_peer(ASKED[i], 0), &question);
        status->awaited |= ROLE_BIT(ASKED[i]);
    }
    service_timer_start(request->timer, STATUS_MS);
}

static void
on_time(struct request *request)
{
    const struct status *status = (const struct status *)request;
    char silent[64] = "";

    for (size_t i = 0; i < ASKED_COUNT; i++) {
        if ((status->awaited & ROLE_BIT(ASKED[i])) == 0)
            continue;
        strlcat(silent, silent[0] != '\0' ? ", " : "", sizeof(silent));
        strlcat(silent, role_name(ASKED[i]), sizeof(silent));
    }
    request_answer(request, EX_TEMPFAIL,
        "the status is not complete: no answer within %d s from %s", STATUS_MS / 1000, silent);
}

const struct request_kind STATUS_KIND = {
    .asked = MESSAGE_ASK_STATUS,
    .size = sizeof(struct status),
    .begin = begin_status,
    .timed = on_time,
};

/* Every STATUS_... line begins with the request's number. */
static uint32_t
number_of(const struct message *message)
{
    switch (message->type) {
    case MESSAGE_STATUS_PROGRAM:
        return message->status_program.request;
    case MESSAGE_STATUS_WORKER:
        return message->status_worker.request;
    case MESSAGE_STATUS_QUEUE:
        return message->status_queue.request;
    case MESSAGE_STATUS_ACCOUNT:
        return message->status_account.request;
    default:
        return 0;
    }
}

void
status_line(struct channel *from, const struct message *message)
{
    struct request *request = request_find(number_of(message), &STATUS_KIND);

    (void)from;
    if (request != NULL)
        request_tell(request, message);
}

void
status_ended(struct channel *from, const struct message *message)
{
    struct status *status =
        (struct status *)request_find(message->status_end.request, &STATUS_KIND);

    if (status == NULL)
        return;
    if (channel_peer(from) == ROLE_SQL)
        status->tables &= ~(UINT64_C(1) << finder_of(from));
    else
        status->awaited &= ~ROLE_BIT(channel_peer(from));
    if (status->awaited == 0 && status->tables == 0)
        request_answer(&status->request, EX_OK, "%s", "");
}
