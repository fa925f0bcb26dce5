/*
 * What a connection that failed is told as: where it failed, and why, in the server's own words
 * where it has some.
 */
#include <string.h>

#include "lib/text.h"
#include "smtp/challenge.h"
#include "smtp/session_parts.h"

void
session_fail(
    struct session *session, enum stage stage, const struct reply *reply, const char *words)
{
    struct session_failure failure = {.stage = stage, .words = words};
    char text[CURL_ERROR_SIZE + 100];

    if (reply != NULL && (reply->code >= 400 || reply->code == CHALLENGE)) {
        failure.code = reply->code;
        failure.enhanced = reply->enhanced;
        failure.words = reply->words;
    } else if (words[0] == '\0') {
        text_format(text, sizeof(text), "lost connection while %s", stage_name(stage));
        failure.words = text;
    }
    session->over = true;
    session->events->failed(session->context, &failure);
}

/* XOAUTH2 says in a challenge why a token is refused; libcurl leaves it at that. */
static void
fail_by_challenge(struct session *session, const struct reply *reply)
{
    struct reply refusal = *reply;

    challenge_decode(&refusal);
    session_fail(session, STAGE_LOGIN, &refusal, "");
}

/* Where a failure of libcurl's belongs, if its code says so. */
static enum stage
failed_stage(const struct session *session, CURLcode code)
{
    static const struct {
        CURLcode code;
        enum stage stage;
    } STAGES[] = {
        {CURLE_COULDNT_RESOLVE_HOST, STAGE_CONNECT},
        {CURLE_COULDNT_CONNECT, STAGE_CONNECT},
        {CURLE_LOGIN_DENIED, STAGE_LOGIN},
        {CURLE_USE_SSL_FAILED, STAGE_TLS},
        {CURLE_SSL_CONNECT_ERROR, STAGE_TLS},
        {CURLE_PEER_FAILED_VERIFICATION, STAGE_TLS},
        {CURLE_SSL_CERTPROBLEM, STAGE_TLS},
        {CURLE_SSL_CIPHER, STAGE_TLS},
        {CURLE_SSL_ISSUER_ERROR, STAGE_TLS},
        {CURLE_SSL_INVALIDCERTSTATUS, STAGE_TLS},
        {CURLE_SSL_PINNEDPUBKEYNOTMATCH, STAGE_TLS},
    };

    for (size_t i = 0; i < sizeof(STAGES) / sizeof(STAGES[0]); i++) {
        if (STAGES[i].code == code)
            return STAGES[i].stage;
    }
    return session->tcp_connected ? session->dialogue.stage : STAGE_CONNECT;
}

/* What the operating system said when a connection failed; libcurl's words leave that out. */
static const char *
connect_words(struct session *session)
{
    long code = 0;

    if (curl_easy_getinfo(session->easy, CURLINFO_OS_ERRNO, &code) == CURLE_OK && code != 0)
        text_format(session->problem, sizeof(session->problem), "connect to %s: %s",
            session_relay(session), strerror((int)code));
    return session->problem;
}

static const char *
login_words(const struct session *session)
{
    return session->settings->tls == TLS_NONE && !session->settings->plaintext_login
               ? "the relay offers no login that is safe without TLS (see plaintext_login)"
               : "the relay offers no login that the account may use (see auth)";
}

/* What there is to say where the server itself said nothing; "": that the connection was lost. */
static const char *
failure_words(struct session *session, CURLcode code)
{
    if (session->dialogue.broken)
        return session->dialogue.reader.problem;
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        return connect_words(session);
    case CURLE_LOGIN_DENIED:
        return login_words(session);
    case CURLE_PEER_FAILED_VERIFICATION:
        return fingerprint_explain(
            &session->hooks.fingerprint, session->problem, sizeof(session->problem));
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return ""; /* libcurl: "response reading failed (errno: 115)" */
    case CURLE_OPERATION_TIMEDOUT:
        return "the relay did not answer in time";
    default:
        return session->problem[0] != '\0' ? session->problem : curl_easy_strerror(code);
    }
}

void
session_fail_by_code(struct session *session, CURLcode code)
{
    const struct reply *reply = dialogue_reply(&session->dialogue);

    if (code == CURLE_LOGIN_DENIED && reply != NULL && reply->code == CHALLENGE)
        fail_by_challenge(session, reply);
    else
        session_fail(session, failed_stage(session, code), reply, failure_words(session, code));
}
