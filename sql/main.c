/*
 * smailer-sql: finds mails in a table, and records there what becomes of them.
 */
#include <stdlib.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "pickup/cleanups.h"
#include "sql/access.h"
#include "sql/claim.h"
#include "sql/drain.h"
#include "sql/init.h"
#include "sql/journal.h"
#include "sql/listing.h"
#include "sql/offer.h"
#include "sql/record.h"
#include "sql/release.h"
#include "sql/run.h"
#include "sql/session.h"
#include "sql/side.h"
#include "sql/status.h"
#include "sql/upkeep.h"

/* Without its journal, the queue can be looked at and no more. */
static void
open_journal(void)
{
    const struct queue_settings *queue = session_queue();
    char *directory = memory_format(
        "%s/sql/%s", service_configuration()->settings.state_directory, queue->section);
    struct error error;

    if (!journal_open(directory, queue->table, &error))
        log_error("%s: no row is claimed: %s", queue->section, error.text);
    free(directory);
}

static bool
prepare(struct service_paths *paths, struct error *error)
{
    if (!session_prepare())
        return error_set(error, "there is no queue for this process");
    access_prepare(paths, session_queue()->conninfo);
    open_journal();
    return true;
}

static void
on_began(void)
{
    record_pump();
    if (session_serves())
        upkeep_begin();
    offer_pump();
}

static void
on_ended(void)
{
    claim_forget();
    release_forget();
    offer_forget();
    record_pump();
    run_check();
    drain_check();
}

static bool
start(int inheritance, struct error *error)
{
    static const struct session_events EVENTS = {on_began, on_ended, claim_wake};

    (void)inheritance;
    (void)error;
    claim_open();
    release_open();
    offer_open();
    record_open();
    run_open();
    listing_open();
    status_open();
    upkeep_open();
    side_open(session_queue()->conninfo);
    session_open(&EVENTS);
    return true;
}

static void
peer_joined(struct channel *peer)
{
    if (channel_peer(peer) == ROLE_CLEANUP)
        cleanups_joined(peer);
    if (channel_peer(peer) == ROLE_QMGR)
        session_tell_lease();
}

static void
peer_left(struct channel *peer)
{
    if (channel_peer(peer) == ROLE_CLEANUP)
        cleanups_left(peer);
    if (channel_peer(peer) == ROLE_CONTROL) {
        listing_cancel_all();
        run_cancel_all();
    }
}

static void
handle_parse_room(struct channel *from, const struct message *message)
{
    cleanups_handle_room(from, message);
    offer_pump();
    listing_pump();
}

static const struct service_handler HANDLERS[] = {
    {MESSAGE_ROOM, offer_handle_room},
    {MESSAGE_FINISHED, offer_handle_finished},
    {MESSAGE_PARKED, offer_handle_parked},
    {MESSAGE_WANTED, offer_handle_wanted},
    {MESSAGE_RECORD, record_handle},
    {MESSAGE_PARSE_ROOM, handle_parse_room},
    {MESSAGE_LIST, listing_handle},
    {MESSAGE_LIST_ROOM, listing_handle_room},
    {MESSAGE_LIST_CANCEL, listing_handle_cancel},
    {MESSAGE_RUN, run_handle},
    {MESSAGE_RUN_CANCEL, run_handle_cancel},
    {MESSAGE_STATUS, status_handle},
    {MESSAGE_INIT, init_handle},
};

static const struct service SERVICE = {
    .role = ROLE_SQL,
    .prepare = prepare,
    .start = start,
    .peer_joined = peer_joined,
    .peer_left = peer_left,
    .drain = drain_begin,
    .handlers = HANDLERS,
    .handler_count = sizeof(HANDLERS) / sizeof(HANDLERS[0]),
};

int
main(int argc, char **argv)
{
    return service_main(&SERVICE, argc, argv);
}
