#include "qmgr/show.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "lib/outcome.h"
#include "lib/service.h"
#include "lib/text.h"
#include "qmgr/account.h"
#include "qmgr/mqueue.h"

#define LINE_SIZE 1001

static uint32_t shown; /* the run; 0: none */

void
show_handle(struct channel *from, const struct message *message)
{
    (void)from;
    shown = message->show_run.run;
}

static void
tell(uint64_t run, const char *line)
{
    service_send(service_peer(ROLE_CONTROL, 0),
        &(struct message){.type = MESSAGE_DIALOGUE, .dialogue = {.job = run, .line = line}});
}

/* "a@x,b@y": all recipients, as far as there is room. */
static void
list_recipients(const struct job *job, char *target, size_t size)
{
    const char *end = job->recipients + job->recipients_size;
    size_t used = 0;

    target[0] = '\0';
    for (const char *each = job->recipients; each < end && used < size; each += strlen(each) + 1)
        used += (size_t)snprintf(target + used, size - used, "%s%s", used > 0 ? "," : "", each);
}

static const char *
find_recipient(const struct job *job, uint32_t number)
{
    const char *end = job->recipients + job->recipients_size;
    const char *each = job->recipients;

    while (number-- > 0 && each < end)
        each += strlen(each) + 1;
    return each < end ? each : "";
}

bool
show_takes(struct account *account, struct job *job)
{
    const struct relay *relay = &account->settings->relay;
    bool is_number = relay->host[strspn(relay->host, "0123456789.")] == '\0';
    char recipients[600];
    char line[LINE_SIZE];
    struct worker *worker;

    if (shown == 0 || job->run != shown)
        return false;
    worker = worker_start(account, true);
    if (worker == NULL)
        return false;
    job->worker = worker;
    worker->trial = job;
    worker->trial_number = shown;
    list_recipients(job, recipients, sizeof(recipients));
    text_format(line, sizeof(line), "%s... Connecting to %s%s%s port %u via smtp...", recipients,
        is_number ? "[" : "", relay->host, is_number ? "]" : "", relay->port);
    tell(shown, line);
    return true;
}

/* What the server said, without the codes that it begins with. */
static const char *
skip_codes(const char *words)
{
    size_t code = strspn(words, "0123456789");
    size_t enhanced;

    if (code != 3 || words[code] != ' ')
        return words;
    words += code + 1;
    enhanced = strspn(words, "0123456789.");
    return enhanced >= 5 && words[enhanced] == ' ' ? words + enhanced + 1 : words;
}

/* The words for an outcome are sendmail's. */
static void
tell_outcome(uint64_t run, const char *recipients, const struct attempt *attempt)
{
    struct enhanced_code enhanced = {0};
    struct decision decision;
    char line[LINE_SIZE];

    enhanced_parse(attempt->enhanced, strlen(attempt->enhanced), &enhanced);
    decision = outcome_decide(attempt->stage, attempt->code, enhanced);
    if (decision.outcome == OUTCOME_SENT)
        text_format(line, sizeof(line), "%s... Sent (%s)", recipients, skip_codes(attempt->words));
    else if (decision.outcome == OUTCOME_DEFERRED)
        text_format(line, sizeof(line), "%s... Deferred: %s", recipients, attempt->words);
    else
        text_format(line, sizeof(line), "%s... %s", recipients,
            mqueue_status(attempt->stage, attempt->code) == EX_NOUSER ? "User unknown"
                                                                      : "Service unavailable");
    tell(run, line);
}

void
show_result(const struct worker *worker, const struct job *job, const struct message_result *result)
{
    const struct attempt attempt = {.stage = (enum stage)result->stage,
        .code = result->code,
        .enhanced = result->enhanced,
        .words = result->words};

    if (worker->verbose && job->base != NULL && attempt.stage != STAGE_UNTRIED)
        tell_outcome(worker->trial_number, find_recipient(job, result->recipient), &attempt);
}

void
show_failure(const struct job *job, const struct attempt *attempt)
{
    char recipients[600];

    list_recipients(job, recipients, sizeof(recipients));
    tell_outcome(shown, recipients, attempt);
}

void
show_end(const struct worker *worker)
{
    if (worker->trial_number == shown)
        tell(shown, "");
}
