#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <bsd/string.h>

#include "lib/memory.h"
#include "lib/message.h"
#include "lib/text.h"
#include "queue/mqueue_internal.h"

#define SECOND INT64_C(1000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)

/* The outcome of recipient NUMBER; NULL: it was not tried. */
static const struct mqueue_outcome *
find_outcome(const struct mqueue_outcome *outcomes, size_t count, size_t number)
{
    const struct mqueue_outcome *found = NULL;

    for (size_t i = 0; i < count; i++) {
        if (outcomes[i].recipient == number)
            return &outcomes[i];
        if (outcomes[i].recipient == MQUEUE_ALL_RECIPIENTS)
            found = &outcomes[i];
    }
    return found;
}

static bool
is_null_sender(const struct control_file *control)
{
    return control->sender == NULL || control->sender[0] == '\0' ||
           strcmp(control->sender, "<>") == 0;
}

/* A bounce that cannot be delivered makes no further one. */
static bool
may_tell(const struct control_file *control)
{
    return !is_null_sender(control) && !control_flag(control->flags, 'r');
}

/* NOTIFY= says of what; without it, of failures and delays. */
static bool
wants(const struct control_recipient *recipient, char what)
{
    return !control_flag(recipient->flags, 'N') || control_flag(recipient->flags, what);
}

/* The value of the header NAME, "" where there is none. */
static const char *
header_value(const struct control_file *control, const char *name)
{
    for (size_t i = 0; i < control->header_count; i++) {
        const struct control_header *header = &control->headers[i];

        if (header->name_length == strlen(name) &&
            strncasecmp(header->text, name, header->name_length) == 0) {
            const char *value = strchr(header->text, ':') + 1;

            return value + strspn(value, " \t\n");
        }
    }
    return "";
}

/* Nobody waits for mail of such a class. */
static bool
is_of_low_class(const struct control_file *control)
{
    static const char *const LOW[] = {"bulk", "list", "junk"};
    const char *precedence = header_value(control, "Precedence");

    for (size_t i = 0; i < sizeof(LOW) / sizeof(LOW[0]); i++)
        if (strncasecmp(precedence, LOW[i], strlen(LOW[i])) == 0)
            return true;
    return false;
}

/* The age (ms) at which the sender is told that it is delayed, where it is that old and was not
 * told: what the sender asked for by deliver-by (RFC 2852), or the queue's. 0: none is due. */
static int64_t
due_warning(const struct queue *queue, const struct control_file *control, int64_t now)
{
    int64_t age = now / SECOND - control->created;

    if (control_flag(control->flags, 'w') || !may_tell(control))
        return 0;
    if ((control->deliver_by_mode & CONTROL_BY_NOTIFY) != 0 && control->deliver_by > 0 &&
        age > control->deliver_by)
        return control->deliver_by * SECOND;
    return queue->warn_after > 0 && age > queue->warn_after / SECOND && !is_of_low_class(control)
               ? queue->warn_after
               : 0;
}

static void
mention(struct mqueue_decision *decision, size_t recipient, const struct mqueue_outcome *outcome,
    enum mqueue_mention_kind kind, bool expired)
{
    decision->mentions = memory_resize(
        decision->mentions, decision->mention_count + 1, sizeof(decision->mentions[0]));
    decision->mentions[decision->mention_count++] = (struct mqueue_mention){
        .recipient = (uint32_t)recipient, .kind = kind, .outcome = outcome, .expired = expired};
}

/* "5 days", "4 hours" */
static void
format_age(int64_t age, char *target, size_t size)
{
    int64_t unit = age >= DAY && age % DAY == 0 ? DAY : age >= HOUR ? HOUR : SECOND;
    const char *name = unit == DAY ? "day" : unit == HOUR ? "hour" : "second";
    int64_t number = age / unit;

    text_format(target, size, "%" PRId64 " %s%s", number, name, number == 1 ? "" : "s");
}

/* One line: what a server says must not become lines of the control file. */
static void
set_status(char *target, size_t size, const char *what, const char *words)
{
    strlcpy(target, what, size);
    strlcat(target, words, size);
    for (char *at = target; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7F)
            *at = ' ';
}

/* The sender wants to hear of success, or of how far it came, and the relay will not tell. */
static bool
wants_receipt(
    const struct control_file *control, const struct control_recipient *recipient, uint32_t tells)
{
    bool by_success = control_flag(recipient->flags, 'S') && (tells & RELAY_TELLS_SUCCESS) == 0;
    bool by_time = (control->deliver_by_mode & (CONTROL_BY_NOTIFY | CONTROL_BY_TRACE)) != 0 &&
                   (tells & RELAY_TELLS_TIME) == 0;

    return by_success || by_time;
}

static void
decide_one(const struct control_file *control, size_t number, const struct mqueue_outcome *outcome,
    bool expired, struct mqueue_decision *decision)
{
    const struct control_recipient *recipient = &control->recipients[number];
    bool deferred = outcome != NULL && outcome->outcome == OUTCOME_DEFERRED && !expired;

    decision->recipients[number].leaves = outcome != NULL && !deferred;
    if (outcome == NULL) {
        decision->remaining++;
    } else if (outcome->outcome == OUTCOME_SENT) {
        decision->delivered++;
        if (may_tell(control) && wants_receipt(control, recipient, outcome->tells))
            mention(decision, number, outcome, MENTION_RELAYED, false);
    } else if (deferred) {
        decision->remaining++;
        set_status(decision->status, sizeof(decision->status), "Deferred: ", outcome->words);
        decision->recipients[number].status = memory_copy_text(decision->status);
    } else {
        decision->failed++;
        if (may_tell(control) && wants(recipient, 'F'))
            mention(
                decision, number, outcome, MENTION_FAILED, outcome->outcome == OUTCOME_DEFERRED);
    }
}

/* Those that are deferred, and whose sender is to be warned, for it is older than AFTER (ms). */
static void
decide_warnings(int64_t after, const struct control_file *control,
    const struct mqueue_outcome *outcomes, size_t count, struct mqueue_decision *decision)
{
    char age[64];
    char words[128];

    for (size_t i = 0; i < control->recipient_count; i++) {
        const struct mqueue_outcome *outcome = find_outcome(outcomes, count, i);

        if (outcome == NULL || outcome->outcome != OUTCOME_DEFERRED ||
            !wants(&control->recipients[i], 'D'))
            continue;
        mention(decision, i, outcome, MENTION_DELAYED, false);
        decision->warned = true;
    }
    if (!decision->warned)
        return;
    format_age(after, age, sizeof(age));
    text_format(words, sizeof(words), "could not send message for past %s", age);
    set_status(decision->status, sizeof(decision->status), "Warning: ", words);
}

/* Nobody tries it any more: it is too old, or what it had to be delivered in is over. */
static bool
is_expired(const struct queue *queue, const struct control_file *control, int64_t now)
{
    int64_t age = now / SECOND - control->created;

    return (queue->expire > 0 && age > queue->expire / SECOND) ||
           ((control->deliver_by_mode & CONTROL_BY_RETURN) != 0 && age > control->deliver_by);
}

void
mqueue_decide(struct mqueue_job *job, const struct mqueue_outcome *outcomes, size_t count,
    int64_t now, struct mqueue_decision *decision)
{
    const struct control_file *control = &job->control;
    const struct queue *queue = job->queue;
    int64_t warn_after = due_warning(queue, control, now);
    bool expired = is_expired(queue, control, now);
    bool untried = false;

    memset(decision, 0, sizeof(*decision));
    decision->recipient_count = control->recipient_count;
    decision->recipients = memory_new(control->recipient_count, sizeof(decision->recipients[0]));
    for (size_t i = 0; i < control->recipient_count; i++) {
        const struct mqueue_outcome *outcome = find_outcome(outcomes, count, i);

        untried |= outcome == NULL;
        decide_one(control, i, outcome, expired, decision);
    }
    if (!expired && warn_after > 0)
        decide_warnings(warn_after, control, outcomes, count, decision);
    decision->next_try = untried ? now : now + queue->retry_interval;
    decision->expires = control->created * SECOND + queue->expire;
}

void
mqueue_decision_free(struct mqueue_decision *decision)
{
    for (size_t i = 0; i < decision->recipient_count; i++)
        free(decision->recipients[i].status);
    free(decision->recipients);
    free(decision->mentions);
    memset(decision, 0, sizeof(*decision));
}

void
mqueue_apply(struct control_file *control, const struct mqueue_decision *decision)
{
    for (size_t i = 0; i < control->recipient_count; i++) {
        if (decision->recipients[i].leaves)
            control->recipients[i].address = NULL;
        else if (decision->recipients[i].status != NULL)
            control->recipients[i].status = decision->recipients[i].status;
    }
}
