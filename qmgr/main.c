/*
 * smailer-qmgr: schedules, moves and records; never reads what is in a mail.
 */
#include "lib/service.h"
#include "qmgr/account.h"
#include "qmgr/base.h"
#include "qmgr/finish.h"
#include "qmgr/intake.h"
#include "qmgr/maildrop.h"
#include "qmgr/mqueue.h"
#include "qmgr/quota_file.h"
#include "qmgr/recorder.h"
#include "qmgr/schedule.h"
#include "qmgr/share.h"
#include "qmgr/show.h"
#include "qmgr/status.h"
#include "qmgr/submission.h"
#include "qmgr/trial.h"
#include "qmgr/worker.h"
#include "qmgr/workers.h"

static bool
prepare(struct service_paths *paths, struct error *error)
{
    const struct configuration *configuration = service_configuration();

    const char *quotas = quota_file_prepare();

    (void)error;
    if (quotas != NULL)
        service_allow(paths, quotas, SANDBOX_READ | SANDBOX_WRITE);
    share_prepare();
    submission_prepare();
    maildrop_prepare(paths);
    for (size_t i = 0; i < configuration->queue_count; i++)
        if (configuration->queues[i].path[0] != '\0')
            service_allow(
                paths, configuration->queues[i].path, SANDBOX_READ | SANDBOX_LIST | SANDBOX_WRITE);
    return true;
}

static bool
start(int inheritance, struct error *error)
{
    bases_open();
    accounts_open();
    quota_file_read();
    intake_open();
    workers_open();
    schedule_open();
    submission_open();
    maildrop_open();
    if (inheritance >= 0)
        accounts_read_inheritance(inheritance);
    return finish_open(error);
}

static void
peer_joined(struct channel *peer)
{
    (void)peer;
    schedule_soon();
}

static void
peer_left(struct channel *peer)
{
    switch (channel_peer(peer)) {
    case ROLE_WORKER:
        worker_left(peer);
        break;
    case ROLE_SMTP:
        workers_smtp_left();
        break;
    case ROLE_CLEANUP:
        intake_cleanup_left(peer);
        mqueue_cleanup_left(peer);
        break;
    default:
        break;
    }
}

static void
handle_run_for(struct channel *from, const struct message *message)
{
    (void)from;
    schedule_begin_run(message->run_for.run, message->run_for.force != 0, message->run_for.sender);
}

static const struct service_handler HANDLERS[] = {
    {MESSAGE_OFFER, intake_handle_offer},
    {MESSAGE_UNPARKED, intake_handle_unparked},
    {MESSAGE_AT_WORK, intake_handle_at_work},
    {MESSAGE_VERDICT, intake_handle_verdict},
    {MESSAGE_NOTICE_MADE, mqueue_handle_notice},
    {MESSAGE_GONE, intake_handle_gone},
    {MESSAGE_RUN_FOR, handle_run_for},
    {MESSAGE_LINK_UP, worker_handle_link_up},
    {MESSAGE_LINK_FAILED, worker_handle_link_failed},
    {MESSAGE_RESULT, worker_handle_result},
    {MESSAGE_DIALOGUE, worker_handle_dialogue},
    {MESSAGE_WORKER_GONE, worker_handle_gone},
    {MESSAGE_TRY, trial_handle},
    {MESSAGE_TRY_CANCEL, trial_handle_cancel},
    {MESSAGE_SUBMISSION, submission_handle},
    {MESSAGE_SHOW_RUN, show_handle},
    {MESSAGE_STATUS, status_handle},
    {MESSAGE_RECORDED, recorder_handle_recorded},
    {MESSAGE_JOURNALED, recorder_handle_journaled},
    {MESSAGE_LEASE, recorder_handle_lease},
};

static const struct service SERVICE = {
    .role = ROLE_QMGR,
    .prepare = prepare,
    .start = start,
    .peer_joined = peer_joined,
    .peer_left = peer_left,
    .drain = schedule_drain,
    .handlers = HANDLERS,
    .handler_count = sizeof(HANDLERS) / sizeof(HANDLERS[0]),
};

int
main(int argc, char **argv)
{
    return service_main(&SERVICE, argc, argv);
}
