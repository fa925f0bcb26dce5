#include <stdlib.h>
#include <sysexits.h>

#include <event2/event.h>

#include "cli/conversation.h"
#include "cli/output.h"
#include "lib/channel.h"

#define STATUS_GONE (-1)

/* The conversation under way. */
struct talk {
    const struct conversation *conversation;
    struct event_base *base;
    struct event *silence;
    int status;
};

static void
end_talk(struct talk *talk, int status)
{
    talk->status = status;
    event_base_loopbreak(talk->base);
}

int
conversation_answered(void *context, int status, const char *words)
{
    (void)context;
    return words[0] != '\0' ? output_problem(status, "%s", words) : status;
}

static void
take_answer(struct talk *talk, const struct message_answer *answer)
{
    const struct conversation *conversation = talk->conversation;
    int (*answered)(void *, int, const char *) =
        conversation->answered != NULL ? conversation->answered : conversation_answered;
    void *context =
        conversation->answer_context != NULL ? conversation->answer_context : conversation->context;

    end_talk(talk, answered(context, (int)(answer->status & 0xFF), answer->words));
}

static void
watch_silence(struct talk *talk)
{
    const struct timeval limit = {talk->conversation->timeout, 0};

    if (talk->silence != NULL)
        evtimer_add(talk->silence, &limit);
}

static void
on_received(struct channel *channel, const struct message *message)
{
    struct talk *talk = channel_context(channel);
    const struct conversation *conversation = talk->conversation;

    watch_silence(talk);
    if (talk->status != STATUS_GONE)
        return;
    if (message->type == MESSAGE_ANSWER)
        take_answer(talk, &message->answer);
    for (size_t i = 0; i < conversation->handler_count; i++) {
        if (conversation->handlers[i].type == message->type &&
            !conversation->handlers[i].handle(conversation->context, message))
            end_talk(talk, EX_IOERR);
    }
}

static void
on_closed(struct channel *channel, const char *reason)
{
    struct talk *talk = channel_context(channel);

    if (talk->status != STATUS_GONE)
        return;
    if (reason[0] != '\0')
        end_talk(talk,
            output_problem(EX_PROTOCOL, "the running smailer is of another version: %s", reason));
    else
        end_talk(talk, STATUS_GONE);
}

static void
on_silence(evutil_socket_t descriptor, short what, void *context)
{
    struct talk *talk = context;

    (void)descriptor;
    (void)what;
    end_talk(talk, output_problem(EX_TEMPFAIL, "nothing was heard for %u s (--timeout)",
                       talk->conversation->timeout));
}

/* Everything between the question and the answer. */
static int
talk_to_end(struct talk *talk, struct channel *channel, const struct message *question)
{
    struct error error;

    if (!channel_send(channel, question, &error))
        return output_problem(EX_USAGE, "%s", error.text);
    watch_silence(talk);
    if (event_base_dispatch(talk->base) < 0)
        return output_problem(EX_OSERR, "the event loop failed");
    return talk->status;
}

int
conversation_hold(
    const struct conversation *conversation, int descriptor, const struct message *question)
{
    static const struct channel_events EVENTS = {on_received, on_closed};
    struct talk talk = {.conversation = conversation, .status = STATUS_GONE};
    struct channel *channel;
    int status;

    talk.base = event_base_new();
    if (talk.base == NULL)
        return output_problem(EX_OSERR, "no event loop");
    if (conversation->timeout > 0)
        talk.silence = evtimer_new(talk.base, on_silence, &talk);
    channel = channel_open(talk.base, descriptor, ROLE_CLIENT, ROLE_CONTROL, 0, &EVENTS, &talk);
    status = talk_to_end(&talk, channel, question);
    channel_close(channel);
    if (talk.silence != NULL)
        event_free(talk.silence);
    event_base_free(talk.base);
    return status;
}
