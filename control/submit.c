#include <errno.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "control/base.h"
#include "control/mqueue.h"
#include "lib/service.h"

/* A disk that takes longer is not there for anybody who waits. */
#define SUBMIT_MS 300000

/* Who is at the other end: the kernel says so. */
static bool
find_user(const struct channel *client, uint32_t *uid)
{
    struct ucred credentials;
    socklen_t size = sizeof(credentials);

    if (getsockopt(channel_descriptor(client), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        return false;
    *uid = credentials.uid;
    return true;
}

static void
begin(struct request *request, const struct message *message)
{
    const struct message_submit *submit = &message->submit;
    struct message submission = {
        MESSAGE_SUBMISSION, .submission = {.request = request->number,
                                .queue = mqueue_next(submit->directory, MQUEUE_NONE),
                                .content = submit->content}};
    uint32_t uid;

    if (submission.submission.queue == MQUEUE_NONE) {
        mqueue_answer_none(request, submit->directory);
    } else if (service_peer(ROLE_QMGR, 0) == NULL || !find_user(request->client, &uid)) {
        request_answer(request, EX_TEMPFAIL, "smailer-qmgr is not there now: try again");
    } else {
        submission.submission.uid = uid;
        service_send(service_peer(ROLE_QMGR, 0), &submission);
        service_timer_start(request->timer, SUBMIT_MS);
    }
    close(submit->content);
}

static void
on_silence(struct request *request)
{
    request_answer(
        request, EX_TEMPFAIL, "the disk did not take the message in %d s", SUBMIT_MS / 1000);
}

const struct request_kind SUBMIT_KIND = {
    .asked = MESSAGE_SUBMIT,
    .size = sizeof(struct request),
    .begin = begin,
    .timed = on_silence,
};

void
submit_ended(struct channel *from, const struct message *message)
{
    struct request *request = request_find(message->submitted.request, &SUBMIT_KIND);

    (void)from;
    if (request != NULL)
        request_answer(
            request, (int)(message->submitted.status & 0xFF), "%s", message->submitted.words);
}
