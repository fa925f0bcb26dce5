#include <stdio.h>

#include "lib/outcome.h"
#include "lib/text.h"

#define AT(stage) (1U << (stage))
#define ANYWHERE (AT(STAGE_COUNT) - 1)
#define BEFORE_RCPT                                                                                \
    (AT(STAGE_CONNECT) | AT(STAGE_TLS) | AT(STAGE_GREETING) | AT(STAGE_EHLO) | AT(STAGE_LOGIN) |   \
        AT(STAGE_MAIL))
/* Where what is refused may be the mail. */
#define FROM_MAIL (AT(STAGE_MAIL) | AT(STAGE_RCPT) | AT(STAGE_DATA) | AT(STAGE_CONTENT))
#define ANY UINT16_MAX

/* Rows are tried in order; the first that fits decides. */
static const struct row {
    unsigned stages;
    unsigned first_code;
    unsigned last_code;
    uint16_t subject;
    uint16_t detail;
    struct decision decision;
} ROWS[] = {
    {AT(STAGE_UNTRIED), 0, UINT32_MAX, ANY, ANY,
        {OUTCOME_DEFERRED, "it was not tried yet", {4, 3, 0}}},
    {AT(STAGE_UNKNOWN), 0, UINT32_MAX, ANY, ANY,
        {OUTCOME_DEFERRED,
            "the relay got it and did not say whether it took it: it may arrive twice", {4, 4, 2}}},
    {AT(STAGE_CONTENT), 200, 299, ANY, ANY, {OUTCOME_SENT, "the relay took it", {2, 0, 0}}},
    {AT(STAGE_TOKEN), 0, UINT32_MAX, ANY, ANY,
        {OUTCOME_DEFERRED, "there is no token to log in with", {4, 7, 0}}},
    {AT(STAGE_CONNECT), 0, 0, ANY, ANY,
        {OUTCOME_DEFERRED, "the relay cannot be reached", {4, 4, 1}}},
    {AT(STAGE_TLS), 0, 0, ANY, ANY,
        {OUTCOME_DEFERRED, "the relay cannot be reached safely", {4, 7, 5}}},
    {AT(STAGE_LOGIN), 0, 0, ANY, ANY,
        {OUTCOME_DEFERRED, "the login at the relay failed", {4, 7, 0}}},
    /* What XOAUTH2 says of a token in a challenge. */
    {AT(STAGE_LOGIN), 334, 334, ANY, ANY,
        {OUTCOME_DEFERRED, "the relay refused the token", {4, 7, 8}}},
    {ANYWHERE, 0, 0, ANY, ANY,
        {OUTCOME_DEFERRED, "the connection broke, or the relay did not answer in time", {4, 4, 2}}},
    {ANYWHERE, 421, 421, ANY, ANY, {OUTCOME_DEFERRED, "the relay is busy or closing", {4, 3, 2}}},
    {ANYWHERE, 400, 499, ANY, ANY, {OUTCOME_DEFERRED, "the relay refused it for now", {4, 0, 0}}},
    {FROM_MAIL, 500, 599, 3, 4, {OUTCOME_DROPPED, "it is too large for the relay", {5, 3, 4}}},
    {FROM_MAIL, 500, 599, 4, 7,
        {OUTCOME_DROPPED, "the time it had to be delivered in is over", {5, 4, 7}}},
    {FROM_MAIL, 500, 599, 6, ANY,
        {OUTCOME_DROPPED, "the relay cannot take such content", {5, 6, 0}}},
    {ANYWHERE, 530, 530, ANY, ANY,
        {OUTCOME_DEFERRED, "the relay wants a login: the account is set up wrongly", {5, 7, 0}}},
    {ANYWHERE, 535, 535, ANY, ANY,
        {OUTCOME_DEFERRED, "the relay refused the login: the account is set up wrongly",
            {5, 7, 8}}},
    {ANYWHERE, 500, 599, 7, ANY,
        {OUTCOME_DEFERRED, "the relay does not permit it: the account or relay is set up wrongly",
            {5, 7, 1}}},
    {ANYWHERE, 500, 599, 1, 7,
        {OUTCOME_DEFERRED, "the relay refused the sender: the account is set up wrongly",
            {5, 1, 7}}},
    {ANYWHERE, 500, 599, 1, 8,
        {OUTCOME_DEFERRED, "the relay refused the sender's domain: the account is set up wrongly",
            {5, 1, 8}}},
    {BEFORE_RCPT, 500, 599, ANY, ANY,
        {OUTCOME_DEFERRED, "the account or relay is set up wrongly", {5, 0, 0}}},
    {AT(STAGE_RCPT), 500, 599, ANY, ANY,
        {OUTCOME_DROPPED, "the relay refused the recipient for good", {5, 0, 0}}},
    {AT(STAGE_DATA) | AT(STAGE_CONTENT), 500, 599, ANY, ANY,
        {OUTCOME_DROPPED, "the relay refused it for good", {5, 0, 0}}},
};

static const struct decision NONSENSE = {
    OUTCOME_DEFERRED, "the relay answered what makes no sense", {4, 5, 0}};

static bool
row_fits(const struct row *row, enum stage stage, unsigned code, struct enhanced_code enhanced)
{
    if ((unsigned)stage >= STAGE_COUNT || (row->stages & AT(stage)) == 0)
        return false;
    if (code < row->first_code || code > row->last_code)
        return false;
    if (row->subject != ANY && (enhanced.class == 0 || enhanced.subject != row->subject))
        return false;
    return row->detail == ANY || enhanced.detail == row->detail;
}

struct decision
outcome_decide(enum stage stage, unsigned code, struct enhanced_code enhanced)
{
    struct decision decision = NONSENSE;

    if (enhanced.class != code / 100)
        enhanced.class = 0;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        if (row_fits(&ROWS[i], stage, code, enhanced)) {
            decision = ROWS[i].decision;
            break;
        }
    }
    if (enhanced.class != 0)
        decision.enhanced = enhanced;
    return decision;
}

const char *
outcome_name(enum outcome outcome)
{
    static const char *const NAMES[] = {
        [OUTCOME_SENT] = "sent", [OUTCOME_DEFERRED] = "deferred", [OUTCOME_DROPPED] = "dropped"};

    return (unsigned)outcome < sizeof(NAMES) / sizeof(NAMES[0]) ? NAMES[outcome] : "deferred";
}

const char *
stage_name(enum stage stage)
{
    static const char *const NAMES[STAGE_COUNT] = {
        [STAGE_UNTRIED] = "waiting for its turn",
        [STAGE_TOKEN] = "getting a token",
        [STAGE_CONNECT] = "connecting",
        [STAGE_TLS] = "starting TLS",
        [STAGE_GREETING] = "waiting for the greeting",
        [STAGE_EHLO] = "sending EHLO",
        [STAGE_LOGIN] = "logging in",
        [STAGE_MAIL] = "sending MAIL FROM",
        [STAGE_RCPT] = "sending RCPT TO",
        [STAGE_DATA] = "sending DATA",
        [STAGE_CONTENT] = "sending the content",
        [STAGE_UNKNOWN] = "waiting for the reply to the end of the content",
    };

    return (unsigned)stage < STAGE_COUNT ? NAMES[stage] : "delivering";
}

/* Reads one to three digits at *AT; moves *AT behind them. */
static bool
take_number(const char *text, size_t length, size_t *at, uint16_t *number)
{
    size_t first = *at;

    *number = 0;
    while (*at < length && *at - first < 3 && text[*at] >= '0' && text[*at] <= '9')
        *number = (uint16_t)(*number * 10 + (text[(*at)++] - '0'));
    return *at > first;
}

size_t
enhanced_parse(const char *text, size_t length, struct enhanced_code *enhanced)
{
    struct enhanced_code found = {0, 0, 0};
    size_t at = 2;

    *enhanced = found;
    if (length < 5 || text[1] != '.' || (text[0] != '2' && text[0] != '4' && text[0] != '5'))
        return 0;
    if (!take_number(text, length, &at, &found.subject) || at == length || text[at++] != '.')
        return 0;
    if (!take_number(text, length, &at, &found.detail))
        return 0;
    if (at < length && text[at] != ' ')
        return 0;
    found.class = (uint8_t)(text[0] - '0');
    *enhanced = found;
    return at;
}

char *
enhanced_print(struct enhanced_code enhanced, char target[static ENHANCED_TEXT_SIZE])
{
    target[0] = '\0';
    if (enhanced.class != 0)
        text_format(target, ENHANCED_TEXT_SIZE, "%hhu.%hu.%hu", enhanced.class, enhanced.subject,
            enhanced.detail);
    return target;
}
