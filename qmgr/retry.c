#include <bsd/string.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/text.h"
#include "qmgr/retry.h"

static void
set_text(char *target, size_t size, const char *text)
{
    strlcpy(target, text != NULL ? text : "", size);
}

static void
note_event(const struct retry_event *event, struct mail_record *record)
{
    if (event->id != NULL && event->id[0] != '\0')
        set_text(record->id, sizeof(record->id), event->id);
    set_text(record->stage, sizeof(record->stage), event->stage);
    set_text(record->reason, sizeof(record->reason), event->reason);
    record->code = event->code;
}

/* Times after NOW come from a clock that has jumped. */
static void
count_attempt(const struct retry_event *event, struct mail_record *record)
{
    if (record->attempts < UINT32_MAX)
        record->attempts++;
    if (record->first_try == 0 || record->first_try > event->now)
        record->first_try = event->now;
    record->last_try = event->now;
}

static enum mail_state
finish_attempt(
    const struct retry_rules *rules, const struct retry_event *event, struct mail_record *record)
{
    note_event(event, record);
    count_attempt(event, record);
    record->next_try = event->now + rules->retry_interval;
    if (record->attempts < rules->max_attempts)
        return MAIL_DEFERRED;
    text_format(record->reason, sizeof(record->reason), "given up after %" PRIu32 " attempts: %s",
        record->attempts, event->reason != NULL ? event->reason : "");
    record->next_try = event->now;
    return MAIL_DROPPED;
}

enum mail_state
retry_defer(
    const struct retry_rules *rules, const struct retry_event *event, struct mail_record *record)
{
    record->strikes = 0;
    return finish_attempt(rules, event, record);
}

enum mail_state
retry_drop(
    const struct retry_rules *rules, const struct retry_event *event, struct mail_record *record)
{
    (void)rules;
    note_event(event, record);
    if (record->stage[0] != '\0')
        count_attempt(event, record);
    record->next_try = event->now;
    return MAIL_DROPPED;
}

enum mail_state
retry_strike(const struct retry_rules *rules, const struct retry_event *event,
    enum mail_state place, struct mail_record *record)
{
    if (record->strikes < UINT32_MAX)
        record->strikes++;
    if (record->strikes >= QUEUE_STRIKES_TO_DEFER)
        return finish_attempt(rules, event, record);
    note_event(event, record);
    record->next_try = event->now;
    return place;
}
