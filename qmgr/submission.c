#include "qmgr/submission.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/account.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/sealed.h"
#include "lib/service.h"
#include "lib/text.h"
#include "qmgr/finish.h"

#define ADDRESS_SIZE (CONTROL_FILE_ADDRESS_MAX + 256)

/* Flags of the envelope that a user may set. */
static const char FLAGS[] = "8bdnse";

/* Who may send from an account, beside root and this program's user. */
struct permission {
    bool everybody;
    uid_t *uids;
    size_t count;
};

static struct permission *permissions; /* of each account */

/* A message on its way to the disk. */
struct submission {
    struct mqueue_submission job;
    int body;
    uid_t uid;
    submission_told tell;
    void *context;
};

/* How long a queue may take to be opened after the start, and how often that is looked at. */
#define PATIENCE_MS 10000
#define RETRY_MS 20

/* Messages whose queue is not open yet. */
struct waiting {
    STAILQ_ENTRY(waiting) next;
    struct base *base;
    uid_t uid;
    int content;
    submission_told tell;
    void *context;
    int64_t until; /* ms, monotonic */
};

static struct {
    STAILQ_HEAD(, waiting) all;
    struct event *retry;
} waitings;

static void
permit(struct permission *permission, const char *account, const char *name)
{
    const struct passwd *user = getpwnam(name);

    if (strcmp(name, "*") == 0) {
        permission->everybody = true;
    } else if (user == NULL) {
        log_warn("account %s: uids: there is no user %s", account, name);
    } else {
        permission->uids =
            memory_resize(permission->uids, permission->count + 1, sizeof(*permission->uids));
        permission->uids[permission->count++] = user->pw_uid;
    }
}

void
submission_prepare(void)
{
    const struct configuration *configuration = service_configuration();

    permissions = memory_new(configuration->account_count + 1, sizeof(*permissions));
    for (size_t i = 0; i < configuration->account_count; i++) {
        const struct account_settings *account = &configuration->accounts[i];

        permissions[i].everybody = account->uids.count == 0;
        for (size_t j = 0; j < account->uids.count; j++)
            permit(&permissions[i], account->address, account->uids.texts[j]);
    }
}

static bool
is_permitted(const struct account_settings *account, uid_t uid)
{
    const struct permission *permission = &permissions[account - service_configuration()->accounts];

    if (permission->everybody || uid == 0 || uid == geteuid())
        return true;
    for (size_t i = 0; i < permission->count; i++)
        if (permission->uids[i] == uid)
            return true;
    return false;
}

/* The sender as accounts know it: without brackets, and with a host. */
static void
qualify(char target[ADDRESS_SIZE], const char *sender, const char *host)
{
    size_t length = strlen(sender);
    bool has_brackets = length >= 2 && sender[0] == '<' && sender[length - 1] == '>';

    text_format(target, ADDRESS_SIZE, "%.*s", (int)(has_brackets ? length - 2 : length),
        has_brackets ? sender + 1 : sender);
    length = strlen(target);
    if (length > 0 && strchr(target, '@') == NULL)
        text_format(target + length, ADDRESS_SIZE - length, "@%s", host);
}

/* A sender without an account is let in: what becomes of such mails is the configuration's. */
static bool
may_send(const struct base *base, const struct control_file *control, uid_t uid)
{
    char sender[ADDRESS_SIZE];
    const struct account_settings *account;

    qualify(sender, control->sender, base->settings->hostname);
    account = account_find(service_configuration(), sender);
    return account == NULL || is_permitted(account, uid);
}

/* Only what a user may say stays: no account of another's, no user to act as, no directory. */
static void
restrict_control(struct control_file *control)
{
    size_t used = 0;

    for (size_t i = 0; control->flags[i] != '\0'; i++)
        if (strchr(FLAGS, control->flags[i]) != NULL)
            control->flags[used++] = control->flags[i];
    control->flags[used] = '\0';
    used = 0;
    for (size_t i = 0; i < control->kept_count; i++)
        if (control->kept[i].letter == '$' && control->kept[i].text[0] == '_')
            control->kept[used++] = control->kept[i];
    control->kept_count = used;
    control->created = 0;
    control->status = NULL;
    control->quarantine = NULL;
    control->data_directory = NULL;
    for (size_t i = 0; i < control->recipient_count; i++) {
        control->recipients[i].status = NULL;
        control->recipients[i].controller = NULL;
    }
}

/* What Precedence says the mail's class is, as sendmail's configuration has it. */
static int64_t
find_class(const struct control_file *control)
{
    static const struct {
        const char *name;
        int64_t class;
    } CLASSES[] = {{"special-delivery", 100}, {"list", -30}, {"bulk", -60}, {"junk", -100}};
    static const char NAME[] = "Precedence:";

    for (size_t i = 0; i < control->header_count; i++) {
        const char *text = control->headers[i].text;

        if (strncasecmp(text, NAME, sizeof(NAME) - 1) != 0)
            continue;
        text += sizeof(NAME) - 1;
        text += strspn(text, " \t");
        for (size_t j = 0; j < sizeof(CLASSES) / sizeof(CLASSES[0]); j++)
            if (strcasecmp(text, CLASSES[j].name) == 0)
                return CLASSES[j].class;
    }
    return 0;
}

/* Reads the control file at the beginning of CONTENT. False where there is none. */
static bool
read_control(struct mqueue_submission *job, int content, struct error *error)
{
    static const char END[] = "\n.\n";
    const size_t limit =
        (size_t)service_configuration()->settings.max_message_size + CONTROL_FILE_SIZE_MAX;
    size_t size;
    const char *text = sealed_map(content, limit, &size, error);
    const char *end = text != NULL ? memmem(text, size, END, sizeof(END) - 1) : NULL;
    bool is_good = false;

    if (end != NULL) {
        job->offset = (uint64_t)(end - text) + sizeof(END) - 1;
        is_good =
            control_file_parse(&job->control, text, (size_t)job->offset, error) == CONTROL_GOOD;
    } else if (text != NULL) {
        error_set(error, "it is not what sendmail writes");
    }
    if (text != NULL)
        sealed_unmap(text, size);
    return is_good;
}

/* EX_OK, or why it is refused. */
static int
check(struct submission *submission, const struct base *base, struct error *error)
{
    const struct control_file *control = &submission->job.control;

    if (control->sender == NULL || control->recipient_count == 0) {
        error_set(error, "it has no sender, or no recipient");
        return EX_DATAERR;
    }
    if (!may_send(base, control, submission->uid)) {
        error_set(error, "user %u may not send from the account of %s (uids in accounts.cf)",
            submission->uid, control->sender);
        return EX_NOPERM;
    }
    return EX_OK;
}

static void
end(struct submission *submission, int status, const char *words)
{
    submission->tell(submission->context, status, words);
    control_file_free(&submission->job.control);
    close(submission->job.body);
    free(submission);
}

static void
commit_job(struct submission *submission, const struct base *base)
{
    struct commit *commit = memory_new(1, sizeof(*commit));

    commit->kind = COMMIT_SUBMIT;
    commit->queue = base->queue;
    commit->descriptor = -1;
    commit->submission = &submission->job;
    commit->context = submission;
    finish_submit(commit);
}

static void
take(struct base *base, uid_t uid, int content, submission_told tell, void *context)
{
    struct submission *submission = memory_new(1, sizeof(*submission));
    struct error error = {.code = 0};
    int status = EX_DATAERR;

    submission->uid = uid;
    submission->tell = tell;
    submission->context = context;
    submission->job.body = fcntl(content, F_DUPFD_CLOEXEC, 0);
    if (submission->job.body < 0) {
        status = EX_TEMPFAIL;
        error_errno(&error, "keep the message");
    } else if (read_control(&submission->job, content, &error)) {
        status = check(submission, base, &error);
    }
    if (status != EX_OK) {
        end(submission, status, error.text);
        return;
    }
    restrict_control(&submission->job.control);
    submission->job.class = find_class(&submission->job.control);
    commit_job(submission, base);
}

static void
forget(struct waiting *waiting)
{
    STAILQ_REMOVE(&waitings.all, waiting, waiting, next);
    close(waiting->content);
    free(waiting);
}

/* Takes those whose queue is open by now. */
static void
on_retry(evutil_socket_t descriptor, short what, void *context)
{
    struct waiting *following;

    (void)descriptor;
    (void)what;
    (void)context;
    for (struct waiting *waiting = STAILQ_FIRST(&waitings.all); waiting != NULL;
         waiting = following) {
        struct base *base = waiting->base;

        following = STAILQ_NEXT(waiting, next);
        if (base->queue != NULL)
            take(base, waiting->uid, waiting->content, waiting->tell, waiting->context);
        else if (base->problem[0] != '\0' || clock_monotonic_ms() > waiting->until)
            waiting->tell(waiting->context, EX_TEMPFAIL,
                base->problem[0] != '\0' ? base->problem : "the queue is not open yet: try again");
        else
            continue;
        forget(waiting);
    }
    if (!STAILQ_EMPTY(&waitings.all))
        service_timer_start(waitings.retry, RETRY_MS);
}

void
submission_open(void)
{
    STAILQ_INIT(&waitings.all);
    waitings.retry = service_timer(on_retry, NULL);
}

void
submission_take(struct base *base, uid_t uid, int content, submission_told tell, void *context)
{
    struct waiting *waiting;

    if (base == NULL || !base_is_mqueue(base)) {
        tell(context, EX_TEMPFAIL, "there is no such queue: try again");
        return;
    }
    waiting = memory_new(1, sizeof(*waiting));
    *waiting = (struct waiting){.base = base,
        .uid = uid,
        .content = fcntl(content, F_DUPFD_CLOEXEC, 0),
        .tell = tell,
        .context = context,
        .until = clock_monotonic_ms() + PATIENCE_MS};
    STAILQ_INSERT_TAIL(&waitings.all, waiting, next);
    on_retry(-1, 0, NULL);
}

void
submission_end(struct commit *commit)
{
    struct submission *submission = commit->context;

    if (commit->result == QUEUE_DONE)
        log_info("%s: from=%s, uid=%u, nrcpt=%zu (taken)", commit->name,
            submission->job.control.sender, submission->uid,
            submission->job.control.recipient_count);
    else
        log_error(
            "a message of user %u could not be kept: %s", submission->uid, commit->error.text);
    end(submission, commit->result == QUEUE_DONE ? EX_OK : EX_CANTCREAT, commit->error.text);
    commit_free(commit);
}

static void
tell_control(void *context, int status, const char *words)
{
    uint32_t request = (uint32_t)(uintptr_t)context;

    service_send(service_peer(ROLE_CONTROL, 0),
        &(struct message){.type = MESSAGE_SUBMITTED,
            .submitted = {.request = request, .status = (uint32_t)status, .words = words}});
}

void
submission_handle(struct channel *from, const struct message *message)
{
    const struct message_submission *said = &message->submission;

    (void)from;
    submission_take(bases_get(said->queue), said->uid, said->content, tell_control,
        (void *)(uintptr_t)said->request);
    close(said->content);
}
