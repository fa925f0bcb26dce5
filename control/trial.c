#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <bsd/string.h>

#include "control/document.h"
#include "control/kinds.h"
#include "control/mqueue.h"
#include "control/sentence.h"
#include "lib/sealed.h"
#include "lib/service.h"
#include "lib/text.h"

/* Jobs with this bit are control's, the others pickup's. */
#define CONTROL_JOB (UINT64_C(1) << 63)

/* How long nobody may say anything about a test mail: more than a relay may be silent. */
#define SILENCE_MS 330000

struct trial {
    struct request request;
    uint64_t job;
    bool is_parsed; /* cleanup has it */
    uint32_t cleanup; /* which one */
    bool is_spoken; /* a worker has it */
    char sender[321];
    char address[321];
};

static struct {
    struct channel *cleanup; /* NULL: none is there now */
    uint32_t room;
} trials;

/* Has cleanup make the mail, and qmgr send it. */
static bool
give(struct trial *trial, struct error *error)
{
    char *text = document_make(trial->sender, trial->address, time(NULL));
    struct message parse = {MESSAGE_PARSE, .parse = {.job = trial->job,
                                               .purpose = PARSE_DELIVER,
                                               .data = -1,
                                               .mtime_ns = (int64_t)time(NULL) * 1000000000}};

    parse.parse.file = sealed_create("test mail", text, strlen(text), error);
    free(text);
    if (parse.parse.file < 0)
        return false;
    if (getrandom(&parse.parse.hash, sizeof(parse.parse.hash), 0) != sizeof(parse.parse.hash))
        parse.parse.hash = trial->job;
    service_send(
        service_peer(ROLE_QMGR, 0), &(struct message){MESSAGE_TRY, .try = {.job = trial->job}});
    service_send(trials.cleanup, &parse);
    close(parse.parse.file);
    trials.room--;
    trial->is_parsed = true;
    trial->cleanup = channel_instance(trials.cleanup);
    return true;
}

/* Gives the test mail away if there is room; otherwise it waits. */
static void
try(struct request *request, void *context)
{
    struct trial *trial = (struct trial *)request;
    struct error error;

    (void)context;
    if (trial->is_parsed || trials.cleanup == NULL || trials.room == 0)
        return;
    if (!give(trial, &error))
        request_answer(request, EX_TEMPFAIL, "the test mail could not be made: %s", error.text);
}

/* What can be written into a document at all; whether it is an address, cleanup says. */
static bool
is_writable(const char *address)
{
    if (address[0] == '\0' || !text_is_utf8(address, strlen(address)))
        return false;
    for (const char *at = address; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7F)
            return false;
    }
    return true;
}

static void
begin_trial(struct request *request, const struct message *message)
{
    struct trial *trial = (struct trial *)request;
    const struct message_ask_test *asked = &message->ask_test;

    if (!is_writable(asked->sender) || !is_writable(asked->address)) {
        request_answer(request, EX_USAGE, "%s is no address",
            is_writable(asked->sender) ? "what the test mail shall be sent to"
                                       : "what the test mail shall be sent from");
        return;
    }
    strlcpy(trial->sender, asked->sender, sizeof(trial->sender));
    strlcpy(trial->address, asked->address, sizeof(trial->address));
    trial->job = CONTROL_JOB | request->number;
    service_timer_start(request->timer, SILENCE_MS);
    try(request, NULL);
}

static void
on_silence(struct request *request)
{
    request_answer(request, EX_TEMPFAIL,
        "nothing was heard of the test mail for %d s; the logs and `smailer status` may say why",
        SILENCE_MS / 1000);
}

const struct request_kind TRIAL_KIND = {
    .asked = MESSAGE_ASK_TEST,
    .size = sizeof(struct trial),
    .begin = begin_trial,
    .timed = on_silence,
};

static struct trial *
find_trial(uint64_t job)
{
    if ((job & CONTROL_JOB) == 0)
        return NULL;
    return (struct trial *)request_find((uint32_t)job, &TRIAL_KIND);
}

void
trial_joined(struct channel *channel)
{
    if (trials.cleanup != NULL && channel_instance(trials.cleanup) > channel_instance(channel))
        return;
    trials.cleanup = channel;
    trials.room = 0;
}

void
trial_left(struct channel *channel)
{
    if (trials.cleanup == channel)
        trials.cleanup = NULL;
}

struct death {
    uint32_t instance;
    const char *reason;
};

static void
lose(struct request *request, void *context)
{
    const struct trial *trial = (const struct trial *)request;
    const struct death *death = context;

    if (!trial->is_parsed || trial->is_spoken || trial->cleanup != death->instance)
        return;
    service_send(service_peer(ROLE_QMGR, 0),
        &(struct message){MESSAGE_TRY_CANCEL, .try_cancel = {.job = trial->job}});
    request_answer(request, EX_TEMPFAIL, "smailer-cleanup ended with the test mail in hand: %s",
        death->reason);
}

void
trial_lost(uint32_t instance, const char *reason)
{
    struct death death = {instance, reason};

    request_each(&TRIAL_KIND, lose, &death);
}

void
trial_room(struct channel *from, const struct message *message)
{
    if (from != trials.cleanup)
        return;
    trials.room += message->parse_room.count;
    request_each(&TRIAL_KIND, try, NULL);
}

void
trial_spoken(struct channel *from, const struct message *message)
{
    struct trial *trial = find_trial(message->dialogue.job);

    (void)from;
    if (mqueue_run_spoken(message) || trial == NULL)
        return;
    trial->is_spoken = true;
    service_timer_start(trial->request.timer, SILENCE_MS);
    request_tell(&trial->request, message);
}

void
trial_tried(struct channel *from, const struct message *message)
{
    struct trial *trial = find_trial(message->tried.job);
    char sentence[SENTENCE_SIZE];
    int status;

    (void)from;
    if (trial == NULL)
        return;
    status =
        sentence_make(sentence, sizeof(sentence), &message->tried, trial->sender, trial->address);
    request_answer(&trial->request, status, "%s", sentence);
}
