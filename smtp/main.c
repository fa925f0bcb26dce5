/*
 * smailer-smtp: sends mails to relays; see smailer-smtp(8).
 */
#include "lib/service.h"
#include "smtp/parent.h"
#include "smtp/worker.h"

static const struct service_handler HANDLERS[] = {
    /* the parent's */
    {MESSAGE_SECRET, parent_handle_secret},
    {MESSAGE_WORKER_START, parent_handle_worker_start},
    {MESSAGE_ASK_TOKEN, parent_handle_ask_token},
    {MESSAGE_TOKEN, parent_handle_token},
    {MESSAGE_LOG, parent_handle_log},
    /* a worker's */
    {MESSAGE_DELIVER, worker_handle_deliver},
    {MESSAGE_RECALL, worker_handle_recall},
    {MESSAGE_STOP, worker_handle_stop},
    {MESSAGE_WORKER_TOKEN, worker_handle_token},
    {MESSAGE_WORKER_LOG, worker_handle_log},
};

static const struct service SERVICE = {
    .role = ROLE_SMTP,
    .prepare = parent_prepare,
    .start = parent_start,
    .peer_joined = parent_joined,
    .peer_left = parent_left,
    .drain = parent_drain,
    .handlers = HANDLERS,
    .handler_count = sizeof(HANDLERS) / sizeof(HANDLERS[0]),
};

int
main(int argc, char **argv)
{
    return service_main(&SERVICE, argc, argv);
}
