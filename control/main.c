/*
 * smailer-control: answers those who ask smailer something through its control socket.
 */
#include <sysexits.h>

#include "control/base.h"
#include "control/client.h"
#include "control/finder.h"
#include "control/kinds.h"
#include "control/mqueue.h"
#include "control/permission.h"
#include "lib/service.h"

/* What has to be there before anybody is served. */
static struct {
    bool is_told; /* who there is to serve */
    bool is_once; /* nobody: one run, unasked */
    bool is_begun;
} state;

static bool
prepare(struct service_paths *paths, struct error *error)
{
    (void)paths;
    (void)error;
    permission_prepare(service_configuration());
    return true;
}

static bool
start(int inheritance, struct error *error)
{
    (void)inheritance;
    (void)error;
    base_start(service_configuration());
    request_start();
    listing_start();
    return true;
}

/* Serves once the others are there, for the first client may be faster than they are. */
static void
begin_when_ready(void)
{
    if (state.is_begun || !state.is_told || !finder_all_are_there() ||
        service_peer(ROLE_QMGR, 0) == NULL)
        return;
    state.is_begun = true;
    client_serve();
    if (state.is_once)
        run_once();
}

static void
listen_to(struct channel *from, const struct message *message)
{
    (void)from;
    client_listen(message->listen.listener, message->listen.client);
    state.is_told = true;
    state.is_once = message->listen.listener < 0 && message->listen.client < 0;
    begin_when_ready();
}

static void
on_joined(struct channel *peer)
{
    if (channel_peer(peer) == ROLE_CLEANUP)
        trial_joined(peer);
    begin_when_ready();
}

/* The client of an on-demand tree is what that tree is there for. */
static void
on_client_left(struct channel *client)
{
    bool is_last = client_is_trusted(client);

    client_left(client);
    if (is_last)
        service_send(
            service_master(), &(struct message){MESSAGE_RUN_OVER,
                                  .run_over = {.status = (uint32_t)request_last_status()}});
}

static void
on_left(struct channel *peer)
{
    switch (channel_peer(peer)) {
    case ROLE_CLIENT:
        on_client_left(peer);
        break;
    case ROLE_CLEANUP:
        trial_left(peer);
        break;
    default:
        request_answer_all(EX_TEMPFAIL, "smailer is just being restarted: try again");
    }
}

static void
on_gone(struct channel *from, const struct message *message)
{
    (void)from;
    if (message->gone.role != ROLE_CLEANUP)
        return;
    listing_lost(message->gone.reason);
    trial_lost(message->gone.instance, message->gone.reason);
}

static void
drain(void)
{
    client_drain();
    request_answer_all(
        EX_TEMPFAIL, "smailer takes on a new configuration just now, or ends: try again");
    service_drained(-1);
}

static const struct service_handler HANDLERS[] = {
    {MESSAGE_LISTEN, listen_to},
    {MESSAGE_GONE, on_gone},
    {MESSAGE_ASK_QUEUE, client_asked},
    {MESSAGE_ASK_SEND, client_asked},
    {MESSAGE_ASK_TEST, client_asked},
    {MESSAGE_ASK_STATUS, client_asked},
    {MESSAGE_ASK_JOBS, client_asked},
    {MESSAGE_ASK_RUN, client_asked},
    {MESSAGE_SUBMIT, client_asked},
    {MESSAGE_QUEUE_JOB, jobs_found},
    {MESSAGE_JOBS_END, jobs_ended},
    {MESSAGE_SUBMITTED, submit_ended},
    {MESSAGE_ASK_INIT, client_asked},
    {MESSAGE_SCRIPT, init_script},
    {MESSAGE_INIT_END, init_ended},
    {MESSAGE_FOUND, listing_found},
    {MESSAGE_LISTED, listing_listed},
    {MESSAGE_LIST_END, listing_ended},
    {MESSAGE_RUN_PROGRESS, run_progressed},
    {MESSAGE_PARSE_ROOM, trial_room},
    {MESSAGE_DIALOGUE, trial_spoken},
    {MESSAGE_TRIED, trial_tried},
    {MESSAGE_STATUS_PROGRAM, status_line},
    {MESSAGE_STATUS_WORKER, status_line},
    {MESSAGE_STATUS_QUEUE, status_line},
    {MESSAGE_STATUS_ACCOUNT, status_line},
    {MESSAGE_STATUS_END, status_ended},
};

int
main(int argc, char **argv)
{
    static const struct service SERVICE = {
        .role = ROLE_CONTROL,
        .prepare = prepare,
        .start = start,
        .peer_joined = on_joined,
        .peer_left = on_left,
        .drain = drain,
        .handlers = HANDLERS,
        .handler_count = sizeof(HANDLERS) / sizeof(HANDLERS[0]),
    };

    return service_main(&SERVICE, argc, argv);
}
