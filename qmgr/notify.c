#include "qmgr/notify.h"

#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>

#include "lib/account.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/outcome.h"
#include "lib/service.h"
#include "qmgr/account.h"
#include "qmgr/base.h"
#include "qmgr/mqueue.h"

#define RECIPIENTS_MAX 60000

static struct base *
find_queue(void)
{
    struct base *base;

    for (uint32_t i = 0; (base = bases_get(i)) != NULL; i++)
        if (base_is_internal(base) && base->queue != NULL)
            return base;
    return NULL;
}

/* False where it only will be deferred. */
static bool
drops(const struct job *job, const struct commit *commit)
{
    const struct settings *settings = &service_configuration()->settings;

    return commit->kind == COMMIT_DROP ||
           (commit->kind == COMMIT_DEFER && job->attempts + 1 >= settings->max_attempts);
}

static bool
is_address(const char *text)
{
    return strchr(text, '@') != NULL && strpbrk(text, " \t<>\"\\") == NULL;
}

/* Who is told; NULL: nobody. */
static const char *
find_addressee(const struct job *job, const struct account_settings *account)
{
    const char *notify = account->notify;

    if (strcmp(notify, "none") == 0)
        return NULL;
    if (strcmp(notify, "sender") == 0)
        notify = job->sender;
    return is_address(notify) ? notify : NULL;
}

static void
put(struct notice_request *request, const char *text)
{
    size_t size = strlen(text) + 1;

    if (request->size + size > RECIPIENTS_MAX)
        return;
    memcpy(request->recipients + request->size, text, size);
    request->size += size;
}

static struct notice_request *
make_request(const struct job *job, const struct commit *commit, const struct attempt *attempt,
    const char *addressee)
{
    struct notice_request *request = memory_new(1, sizeof(*request));
    bool answered = attempt != NULL && attempt->enhanced[0] == '5';

    strlcpy(request->queue_id, job->id, sizeof(request->queue_id));
    strlcpy(request->sender, addressee, sizeof(request->sender));
    request->full = true;
    request->created = job->identity.mtime_ns / 1000000000;
    request->recipients = memory_new(RECIPIENTS_MAX, 1);
    put(request, job->recipients_size > 0 ? job->recipients : "");
    put(request, "");
    put(request, "failed");
    put(request, answered ? attempt->enhanced : commit->kind == COMMIT_DEFER ? "5.4.7" : "5.0.0");
    put(request, commit->reason);
    put(request, attempt != NULL ? attempt->relay : "");
    return request;
}

bool
notify_begin(struct job *job, struct commit *commit, const struct attempt *attempt)
{
    const struct account_settings *account;
    const char *addressee;
    struct base *queue;

    if (job->base == NULL || base_is_mqueue(job->base) || !drops(job, commit) ||
        job->sender == NULL || strcmp(commit->reason, "sent in testing") == 0)
        return false;
    account = job->lane != NULL ? job->lane->account->settings
                                : account_find(service_configuration(), job->sender);
    addressee = account != NULL ? find_addressee(job, account) : NULL;
    queue = addressee != NULL ? find_queue() : NULL;
    if (queue == NULL)
        return false;
    mqueue_ask(
        job, commit, make_request(job, commit, attempt, addressee), queue->settings->hostname);
    return true;
}

void
notify_made(struct job *job, struct commit *commit, struct notice_request *request, int content,
    uint64_t header)
{
    struct base *queue = find_queue();
    struct commit *notice = finish_prepare(job, COMMIT_NOTICE, "");

    notice->context = NULL;
    notice->queue = queue != NULL ? queue->queue : NULL;
    notice->job = memory_new(1, sizeof(*notice->job));
    notice->job->wanted = request;
    notice->job->notice = content;
    notice->job->notice_header = header;
    notice->job->account = job->lane != NULL ? job->lane->account->settings->address : NULL;
    if (content >= 0 && queue != NULL) {
        finish_alone(notice);
    } else {
        log_error("%s: nobody can be told that it is dropped", job->id);
        commit_free(notice);
    }
    finish_commit(job, commit);
}
