#include <sysexits.h>

#include "control/base.h"
#include "control/kinds.h"
#include "lib/service.h"

static void
begin_init(struct request *request, const struct message *message)
{
    const struct message_ask_init *asked = &message->ask_init;
    const struct queue_settings *queue = base_named(asked->sid);
    struct channel *channel;

    if (queue == NULL || queue->kind != SECTION_SQL) {
        request_answer(request, EX_USAGE, "--sid must name a base whose queue is a table");
        return;
    }
    channel = service_peer(ROLE_SQL, queue->instance);
    if (channel == NULL) {
        request_answer(request, EX_TEMPFAIL, "smailer-sql is not there now: try again");
        return;
    }
    service_send(channel, &(struct message){MESSAGE_INIT,
                              .init = {.request = request->number, .print = asked->print}});
}

const struct request_kind INIT_KIND = {
    .asked = MESSAGE_ASK_INIT,
    .size = sizeof(struct request),
    .begin = begin_init,
};

void
init_script(struct channel *from, const struct message *message)
{
    struct request *request = request_find(message->script.request, &INIT_KIND);

    (void)from;
    if (request != NULL)
        request_tell(request, message);
}

void
init_ended(struct channel *from, const struct message *message)
{
    struct request *request = request_find(message->init_end.request, &INIT_KIND);

    (void)from;
    if (request != NULL)
        request_answer(request, (int)message->init_end.status, "%s", message->init_end.words);
}
