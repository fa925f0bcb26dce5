#include "qmgr/show.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include <bsd/string.h>

#include "lib/outcome.h"
#include "lib/service.h"
#include "lib/text.h"
#include "qmgr/account.h"
#include "qmgr/mqueue.h"
#include "qmgr/workers.h"

#define LINE_SIZE 1001

static struct {
    uint32_t run; /* 0: none */
    bool ending; /* its connections are being closed */
    char notice[256]; /* the control file of the last notice that came of it */
} show;

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
show_wants(const struct job *job)
{
    return show.run != 0 && base_is_mqueue(job->base) &&
           (job->run == show.run || strcmp(job->identity.name, show.notice) == 0);
}

struct worker *
show_worker(const struct account *account)
{
    struct worker *worker;

    TAILQ_FOREACH(worker, &account->workers, in_account)
    {
        if (worker->kind == WORKER_SHOWN && worker->state != WORKER_STOPPING)
            return worker;
    }
    return NULL;
}

/* "[192.0.2.1]", or the name. */
static void
print_host(const struct account *account, char *target, size_t size)
{
    const char *host = account->settings->relay.host;
    bool is_number = host[strspn(host, "0123456789.")] == '\0';

    text_format(target, size, "%s%s%s", is_number ? "[" : "", host, is_number ? "]" : "");
}

struct worker *
show_connect(struct account *account)
{
    struct worker *worker = worker_start(account, WORKER_SHOWN);
    char recipients[600];
    char host[300];
    char line[LINE_SIZE];

    if (worker == NULL)
        return NULL;
    worker->trial_number = show.run;
    list_recipients(TAILQ_FIRST(&account->shown), recipients, sizeof(recipients));
    print_host(account, host, sizeof(host));
    text_format(line, sizeof(line), "%s... Connecting to %s port %u via smtp...", recipients, host,
        account->settings->relay.port);
    tell(show.run, line);
    return worker;
}

void
show_deliver(struct worker *worker)
{
    worker->trial_number = show.run;
    worker->reused = worker->served;
    worker->served = true;
}

/* sendmail says so once the connection has proved to be well, by RSET. */
void
show_spoken(struct worker *worker, const char *line)
{
    const struct job *job = TAILQ_FIRST(&worker->jobs);
    char recipients[600];
    char host[300];
    char text[LINE_SIZE];

    if (!worker->reused || job == NULL || strncmp(line, "C: MAIL", strlen("C: MAIL")) != 0)
        return;
    worker->reused = false;
    list_recipients(job, recipients, sizeof(recipients));
    print_host(worker->account, host, sizeof(host));
    text_format(text, sizeof(text), "%s... Using cached ESMTP connection to %s via smtp...",
        recipients, host);
    tell(show.run, text);
}

/* What the server said, without the codes that it begins with; the second one is text where it did
 * not say that it has such. */
static const char *
skip_codes(const struct worker *worker, const char *words)
{
    size_t code = strspn(words, "0123456789");
    size_t enhanced;

    if (code != 3 || words[code] != ' ')
        return words;
    words += code + 1;
    if ((worker->tells & RELAY_TELLS_CODES) == 0)
        return words;
    enhanced = strspn(words, "0123456789.");
    return enhanced >= 5 && words[enhanced] == ' ' ? words + enhanced + 1 : words;
}

/* The words for a relay that takes no connection are sendmail's. */
static void
print_deferred(
    const struct account *account, const struct attempt *attempt, char *target, size_t size)
{
    static const char REFUSED[] = ": Connection refused";
    size_t length = strlen(attempt->words);
    char host[300];

    print_host(account, host, sizeof(host));
    if (attempt->stage == STAGE_CONNECT && length >= strlen(REFUSED) &&
        strcmp(attempt->words + length - strlen(REFUSED), REFUSED) == 0)
        text_format(target, size, "Connection refused by %s", host);
    else
        strlcpy(target, attempt->words, size);
}

/* The words for an outcome are sendmail's. */
static void
tell_outcome(const struct worker *worker, const char *recipients, const struct attempt *attempt)
{
    char words[900];

    struct enhanced_code enhanced = {0};
    struct decision decision;
    char line[LINE_SIZE];

    print_deferred(worker->account, attempt, words, sizeof(words));
    enhanced_parse(attempt->enhanced, strlen(attempt->enhanced), &enhanced);
    decision = outcome_decide(attempt->stage, attempt->code, enhanced);
    if (decision.outcome == OUTCOME_SENT)
        text_format(
            line, sizeof(line), "%s... Sent (%s)", recipients, skip_codes(worker, attempt->words));
    else if (decision.outcome == OUTCOME_DEFERRED)
        text_format(line, sizeof(line), "%s... Deferred: %s", recipients, words);
    else
        text_format(line, sizeof(line), "%s... %s", recipients,
            mqueue_status(attempt->stage, attempt->code) == EX_NOUSER ? "User unknown"
                                                                      : "Service unavailable");
    tell(show.run, line);
}

void
show_result(const struct worker *worker, const struct job *job, const struct message_result *result)
{
    const struct attempt attempt = {.stage = (enum stage)result->stage,
        .code = result->code,
        .enhanced = result->enhanced,
        .words = result->words};

    if (job->shown && attempt.stage != STAGE_UNTRIED)
        tell_outcome(worker, find_recipient(job, result->recipient), &attempt);
}

void
show_refused(const struct job *job, const char *words)
{
    if (show_wants(job))
        tell(show.run, words);
}

void
show_problem(const struct job *job, const struct mqueue_outcome *outcome)
{
    const struct control_file *control;
    char line[LINE_SIZE];

    if (!show_wants(job))
        return;
    control = mqueue_control(job->taken);
    if (outcome->recipient >= control->recipient_count)
        return;
    text_format(line, sizeof(line), "%.500s... %s%s",
        control->recipients[outcome->recipient].address,
        outcome->outcome == OUTCOME_DEFERRED ? "Deferred: " : "User unknown: ", outcome->words);
    tell(show.run, line);
}

/* The job that it was made for is not tried again in this run; those in its hand were given back.
 */
void
show_link_failed(struct worker *worker, const struct attempt *attempt)
{
    struct job *job = worker->was_up ? NULL : account_take_shown(worker->account);
    char recipients[600];

    if (job == NULL)
        return;
    list_recipients(job, recipients, sizeof(recipients));
    tell_outcome(worker, recipients, attempt);
    finish_attempt(job, attempt);
}

static void
count_shown(struct worker *worker, void *context)
{
    *(uint32_t *)context += worker->kind == WORKER_SHOWN;
}

static uint32_t
count_connections(void)
{
    uint32_t count = 0;

    workers_each(count_shown, &count);
    return count;
}

static void
end(void)
{
    uint32_t run = show.run;

    show.run = 0;
    show.ending = false;
    tell(run, "");
}

void
show_closed(struct worker *worker, const struct attempt *died)
{
    if (!worker->told)
        show_link_failed(worker, died);
    if (show.ending && count_connections() == 1)
        end();
}

void
show_notice(const struct job *job, const char *id)
{
    char line[LINE_SIZE];

    if (!show_wants(job) || id[0] == '\0')
        return;
    text_format(show.notice, sizeof(show.notice), "qf%s", id);
    text_format(line, sizeof(line), "N: %s", show.notice);
    tell(show.run, line);
}

static void
stop_shown(struct worker *worker, void *context)
{
    (void)context;
    if (worker->kind == WORKER_SHOWN)
        worker_stop(worker);
}

void
show_handle(struct channel *from, const struct message *message)
{
    const struct message_show_run *asked = &message->show_run;

    (void)from;
    show.run = asked->run;
    show.ending = asked->step == SHOW_END;
    if (asked->step == SHOW_BEGIN)
        show.notice[0] = '\0';
    else if (asked->step == SHOW_FENCE)
        tell(show.run, "");
    else if (count_connections() == 0)
        end();
    else
        workers_each(stop_shown, NULL);
}
