#include <stdio.h>

#include "lib/clock.h"
#include "lib/service.h"
#include "lib/text.h"
#include "qmgr/account.h"
#include "qmgr/status.h"
#include "qmgr/workers.h"

struct asker {
    struct channel *channel;
    uint32_t request;
};

static void
tell_worker(struct worker *worker, void *context)
{
    const struct asker *asker = context;

    service_send(
        asker->channel, &(struct message){.type = MESSAGE_STATUS_WORKER,
                            .status_worker = {.request = asker->request,
                                .worker = worker->number,
                                .age_ms = (uint64_t)(clock_monotonic_ms() - worker->started_at),
                                .in_hand = worker->in_hand,
                                .account = worker->account->settings->address,
                                .relay = worker->relay}});
}

static void
tell_account(const struct asker *asker, struct account *account)
{
    const struct health *health = &account->health;
    const struct relay *relay = &account->settings->relay;
    char name[321];

    text_format(name, sizeof(name), "%s:%u", relay->host, relay->port);
    service_send(asker->channel, &(struct message){.type = MESSAGE_STATUS_ACCOUNT,
                                     .status_account = {.request = asker->request,
                                         .account = account->number,
                                         .connections = account->worker_count,
                                         .in_hand = account->queued + account->in_hand,
                                         .sent = account->sent,
                                         .deferred = account->deferred,
                                         .dropped = account->dropped,
                                         .per_minute = account_rate(account),
                                         .down_until = health->down ? health->probe_at : 0,
                                         .address = account->settings->address,
                                         .relay = name,
                                         .problem = health->down ? health->words : ""}});
}

void
status_handle(struct channel *from, const struct message *message)
{
    struct asker asker = {from, message->status.request};
    struct account *account;

    workers_each(tell_worker, &asker);
    for (uint32_t i = 0; (account = accounts_get(i)) != NULL; i++)
        tell_account(&asker, account);
    service_send(from,
        &(struct message){.type = MESSAGE_STATUS_END, .status_end = {.request = asker.request}});
}
