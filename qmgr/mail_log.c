#include <time.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "qmgr/base.h"
#include "qmgr/mail_log.h"
#include "qmgr/recorder.h"

static const char *
plural(uint32_t number)
{
    return number == 1 ? "" : "s";
}

/* "moved to sent/NAME", as the log tells a mail's final place. */
static const char *
place_of(const struct job *job, enum mail_state state)
{
    return job->base->recorder->places[state];
}

/* The line for a mail that no worker had, in the grammar of those that one had. */
void
mail_log_untried(const struct job *job, const char *relay, const char *enhanced, const char *status,
    const char *words)
{
    char recipients[1024];
    int64_t delay_ms = clock_now_ms() - job->arrived_ns / 1000000;
    double delay = (double)delay_ms / 1000;

    log_info("%s: from=<%s>, to=%s, relay=%s, delay=%.2f, dsn=%s, status=%s (%s)", job->id,
        job->sender != NULL ? job->sender : "",
        job_format_recipients(job, recipients, sizeof(recipients)),
        relay[0] != '\0' ? relay : "none", delay > 0 ? delay : 0.0, enhanced, status, words);
}

static void
format_time(int64_t ms, char *target, size_t size)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;

    localtime_r(&seconds, &parts);
    strftime(target, size, "%Y-%m-%dT%H:%M:%S%z", &parts);
}

/* The mail's last line of this try: where it is now. */
void
mail_log_place(const struct job *job, const struct commit *commit)
{
    char when[64];

    switch (commit->outcome) {
    case MAIL_DEFERRED:
        format_time(commit->next_try, when, sizeof(when));
        log_info("%s: %s%s, %u attempt%s, again after %s", job->id, place_of(job, commit->outcome),
            commit->name, commit->attempts, plural(commit->attempts), when);
        break;
    case MAIL_WAITING:
        log_info("%s: stays, %u strike%s", job->id, commit->strikes, plural(commit->strikes));
        break;
    case MAIL_DROPPED:
        if (commit->kind == COMMIT_DEFER)
            mail_log_untried(job, "", "5.4.7", "dropped", commit->reason);
        log_info(
            "%s: %s%s: %s", job->id, place_of(job, commit->outcome), commit->name, commit->reason);
        break;
    default:
        log_info("%s: %s%s", job->id, place_of(job, commit->outcome), commit->name);
        break;
    }
}
