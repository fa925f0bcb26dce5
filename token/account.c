#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/sealed.h"
#include "lib/service.h"
#include "lib/text.h"
#include "token/account.h"
#include "token/answer.h"
#include "token/command.h"

/* A token is not used any more when so much of its time is left, or a tenth of it: a login takes
 * time as well. In ms. */
#define MARGIN_MOST (60 * INT64_C(1000))

/* Workers that were started together ask one after the other: a failure is one for all of them. In
 * ms. */
#define FAILURE_LASTS (INT64_C(1000))

#define PROBLEM_SIZE 501

/* A worker that waits. */
struct ask {
    STAILQ_ENTRY(ask) next;
    uint32_t worker;
};

struct account {
    const struct account_settings *settings;
    int token; /* sealed; -1: none */
    uint64_t serial; /* its number; never that of another */
    int64_t good_until; /* ms, monotonic */
    struct command *command; /* NULL: none runs */
    char problem[PROBLEM_SIZE]; /* of the last run that failed */
    int64_t failed_until; /* ms, monotonic: it is not run again before */
    STAILQ_HEAD(, ask) asks;
};

static struct {
    struct account *accounts;
    size_t count;
    uint64_t last_serial;
} all;

void
accounts_open(void)
{
    const struct configuration *configuration = service_configuration();

    all.count = configuration->account_count;
    all.accounts = memory_new(all.count + 1, sizeof(*all.accounts));
    /* Numbers that were told before a death of this process are not given again. */
    all.last_serial = (uint64_t)clock_now_ms() * 1000;
    for (size_t i = 0; i < all.count; i++) {
        all.accounts[i].settings = &configuration->accounts[i];
        all.accounts[i].token = -1;
        STAILQ_INIT(&all.accounts[i].asks);
    }
}

/* PROBLEM: why there is no token, or "". */
static void
tell(const struct account *account, uint32_t worker, const char *problem)
{
    bool good = problem[0] == '\0';

    service_send(service_peer(ROLE_SMTP, 0),
        &(struct message){MESSAGE_TOKEN, .token = {.worker = worker,
                                             .serial = good ? account->serial : 0,
                                             .problem = problem,
                                             .token = good ? account->token : -1}});
}

static void
tell_all(struct account *account, const char *problem)
{
    struct ask *ask;

    while ((ask = STAILQ_FIRST(&account->asks)) != NULL) {
        tell(account, ask->worker, problem);
        STAILQ_REMOVE_HEAD(&account->asks, next);
        free(ask);
    }
}

static void
forget(struct account *account)
{
    if (account->token >= 0)
        close(account->token);
    account->token = -1;
}

static bool
keep(struct account *account, const char *output, size_t length, struct error *error)
{
    struct answer *answer = memory_guarded(sizeof(*answer));
    bool kept = answer_read(output, length, answer, error);
    int64_t margin = answer->lifetime / 10;

    if (kept) {
        account->token =
            sealed_create("smailer-token", answer->token, strlen(answer->token), error);
        kept = account->token >= 0;
    }
    if (kept) {
        account->serial = ++all.last_serial;
        account->good_until =
            clock_monotonic_ms() + answer->lifetime - (margin < MARGIN_MOST ? margin : MARGIN_MOST);
        log_info("account %s: a token that lasts %" PRId64 " s", account->settings->address,
            answer->lifetime / 1000);
    }
    memory_guarded_free(answer, sizeof(*answer));
    return kept;
}

/* Which command it was, and what of it. */
static void
fail(struct account *account, const char *how)
{
    text_format(account->problem, sizeof(account->problem), "token_command %.160s %.320s",
        account->settings->token_command.texts[0], how);
    account->failed_until = clock_monotonic_ms() + FAILURE_LASTS;
    log_warn("account %s: %s", account->settings->address, account->problem);
    tell_all(account, account->problem);
}

static void
on_done(void *context, const char *output, size_t length, const char *problem)
{
    struct account *account = context;
    struct error error;

    account->command = NULL;
    forget(account);
    if (problem != NULL) {
        fail(account, problem);
    } else if (!keep(account, output, length, &error)) {
        fail(account, error.text);
    } else {
        service_worked();
        account->failed_until = 0;
        tell_all(account, "");
    }
}

static void
get_token(struct account *account)
{
    struct error error;

    account->command = command_start(account->settings, on_done, account, &error);
    if (account->command == NULL)
        fail(account, error.text);
}

static bool
is_at_hand(const struct account *account, uint64_t refused)
{
    return account->token >= 0 && account->serial != refused &&
           clock_monotonic_ms() < account->good_until;
}

void
account_handle_ask(struct channel *from, const struct message *message)
{
    const struct message_ask_token *wanted = &message->ask_token;
    struct account *account = wanted->account < all.count ? &all.accounts[wanted->account] : NULL;
    struct ask *ask;

    (void)from;
    if (account == NULL || account->settings->token_command.count == 0) {
        log_error("smtp wants a token for account %" PRIu32 ", which has none", wanted->account);
        return;
    }
    if (is_at_hand(account, wanted->refused)) {
        tell(account, wanted->worker, "");
        return;
    }
    if (clock_monotonic_ms() < account->failed_until) {
        tell(account, wanted->worker, account->problem);
        return;
    }
    ask = memory_new(1, sizeof(*ask));
    ask->worker = wanted->worker;
    STAILQ_INSERT_TAIL(&account->asks, ask, next);
    if (account->command == NULL)
        get_token(account);
}
