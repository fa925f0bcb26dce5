#include <string.h>

#include "lib/clock.h"
#include "lib/service.h"
#include "smtp/challenge.h"
#include "smtp/secret.h"
#include "smtp/token.h"

/* An answer takes so much longer than two commands at the most, one that is under way and one that
 * is begun then; in ms. */
#define PATIENCE_MS 10000

void
token_init(struct token *token, const struct account_settings *account)
{
    memset(token, 0, sizeof(*token));
    token->used = account->auth >= AUTH_OAUTH;
}

static void
ask(struct token *token, uint64_t refused)
{
    token->asked_at = clock_monotonic_ms();
    service_send(service_peer(ROLE_SMTP, 0),
        &(struct message){MESSAGE_ASK_TOKEN, .ask_token = {.refused = refused}});
}

bool
token_ask(struct token *token)
{
    if (token->used)
        ask(token, 0);
    return token->used;
}

bool
token_is_awaited(const struct token *token)
{
    return token->asked_at != 0;
}

/* An answer for good to the login itself, and not that there is none. */
static bool
is_refusal(const struct session_failure *failure)
{
    return failure->stage == STAGE_LOGIN &&
           (failure->code == CHALLENGE || failure->code / 100 == 5);
}

bool
token_renew(struct token *token, const struct session_failure *failure)
{
    if (!token->used || token->renewed || !is_refusal(failure))
        return false;
    token->renewed = true;
    ask(token, token->serial);
    return true;
}

void
token_taken(struct token *token)
{
    token->renewed = false;
}

bool
token_take(
    struct token *token, const struct message_worker_token *answer, struct session_failure *failure)
{
    static const char UNREADABLE[] = "the token cannot be read";
    struct error error;
    bool same = false;

    token->asked_at = 0;
    token->serial = answer->serial;
    if (answer->problem[0] != '\0') {
        *failure = (struct session_failure){.stage = STAGE_TOKEN, .words = answer->problem};
        return false;
    }
    if (answer->token < 0 || !secrets_replace(answer->token, &same, &error)) {
        *failure = (struct session_failure){.stage = STAGE_TOKEN, .words = UNREADABLE};
        return false;
    }
    /* One that was refused a moment ago is not tried again. */
    return !(token->renewed && same);
}

bool
token_is_late(const struct token *token, struct session_failure *failure)
{
    int64_t limit = 2 * service_configuration()->programs[ROLE_TOKEN].time_limit + PATIENCE_MS;

    *failure = (struct session_failure){
        .stage = STAGE_TOKEN, .words = "smailer-token gave no token in time"};
    return token_is_awaited(token) && clock_monotonic_ms() - token->asked_at >= limit;
}
