/*
 * smailer-pickup: finds mails in the directory queues, and hands them on.
 */
#include "lib/service.h"
#include "pickup/answer.h"
#include "pickup/bases.h"
#include "pickup/cleanups.h"
#include "pickup/jobs.h"
#include "pickup/listing.h"
#include "pickup/offer.h"
#include "pickup/run.h"
#include "pickup/status.h"

static bool
prepare(struct service_paths *paths, struct error *error)
{
    const struct configuration *configuration = service_configuration();

    (void)error;
    for (size_t i = 0; i < configuration->queue_count; i++)
        if (configuration->queues[i].path[0] != '\0')
            service_allow(paths, configuration->queues[i].path, SANDBOX_READ | SANDBOX_LIST);
    bases_open();
    return true;
}

static bool
start(int inheritance, struct error *error)
{
    static const struct run_host HOST = {bases_get, offer_wake};

    (void)inheritance;
    (void)error;
    offer_open();
    listing_open();
    jobs_open();
    status_open();
    run_open(&HOST);
    bases_start();
    return true;
}

static void
peer_joined(struct channel *peer)
{
    if (channel_peer(peer) == ROLE_CLEANUP)
        cleanups_joined(peer);
    if (channel_peer(peer) == ROLE_QMGR)
        run_check();
}

static void
peer_left(struct channel *peer)
{
    if (channel_peer(peer) == ROLE_CLEANUP)
        cleanups_left(peer);
    if (channel_peer(peer) == ROLE_CONTROL) {
        listing_cancel_all();
        jobs_cancel_all();
        run_cancel_all();
    }
}

static void
drain(void)
{
    offer_stop();
    service_drained(-1);
}

static void
handle_parse_room(struct channel *from, const struct message *message)
{
    cleanups_handle_room(from, message);
    offer_pump();
    listing_pump();
}

/* A run wakes bases, which nothing else may do for a while. */
static void
handle_run(struct channel *from, const struct message *message)
{
    run_handle(from, message);
    offer_pump();
}

static void
handle_run_cancel(struct channel *from, const struct message *message)
{
    run_handle_cancel(from, message);
    offer_pump();
}

static const struct service_handler HANDLERS[] = {
    {MESSAGE_ROOM, answer_handle_room},
    {MESSAGE_FINISHED, answer_handle_finished},
    {MESSAGE_PARKED, answer_handle_parked},
    {MESSAGE_WANTED, answer_handle_wanted},
    {MESSAGE_QUEUE_PROBLEM, bases_handle_problem},
    {MESSAGE_PARSE_ROOM, handle_parse_room},
    {MESSAGE_LIST, listing_handle},
    {MESSAGE_LIST_ROOM, listing_handle_room},
    {MESSAGE_LIST_CANCEL, listing_handle_cancel},
    {MESSAGE_LIST_JOBS, jobs_handle},
    {MESSAGE_JOBS_ROOM, jobs_handle_room},
    {MESSAGE_JOBS_CANCEL, jobs_handle_cancel},
    {MESSAGE_RUN_ONLY, run_handle_only},
    {MESSAGE_RUN, handle_run},
    {MESSAGE_RUN_CANCEL, handle_run_cancel},
    {MESSAGE_STATUS, status_handle},
};

static const struct service SERVICE = {
    .role = ROLE_PICKUP,
    .prepare = prepare,
    .start = start,
    .peer_joined = peer_joined,
    .peer_left = peer_left,
    .drain = drain,
    .handlers = HANDLERS,
    .handler_count = sizeof(HANDLERS) / sizeof(HANDLERS[0]),
};

int
main(int argc, char **argv)
{
    return service_main(&SERVICE, argc, argv);
}
