/*
 * A client with its mails against an SMTP server that lives in memory and misbehaves as it is told.
 */
#ifndef SMAILER_TESTS_SMTP_WORLD_H
#define SMAILER_TESTS_SMTP_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/transaction.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define JOBS_MAX 16
#define RECIPIENTS_MAX 300
#define STREAM_MAX 400000

/* What a server does instead of what it should, at the nth time that it gets VERB. */
struct misbehaviour {
    const char *verb; /* "DOT": the end of content; "TEXT": a line of content */
    unsigned nth;
    const char *reply; /* NULL: the connection ends */
};

/* A server that follows RFC 5321 but for its misbehaviours. */
struct server {
    const struct misbehaviour *misbehaviours;
    size_t misbehaviour_count;
    unsigned seen[8]; /* by place in VERBS */
    char line[4096];
    size_t line_length;
    char replies[STREAM_MAX];
    size_t reply_length;
    bool closed;
    bool in_mail;
    unsigned recipients;
    bool in_content;
    bool nested_after_data; /* a refused DATA leaves the mail open, as Postfix does */
    char sender[64]; /* "j3" of the mail under way */
    unsigned delivered[JOBS_MAX];
    char content[STREAM_MAX];
    size_t content_length;
    char heard[STREAM_MAX]; /* every command line, with LF */
    size_t heard_length;
};

static const char *const VERBS[] = {"RSET", "MAIL", "RCPT", "DATA", "DOT", "TEXT", "QUIT"};

struct result {
    enum stage stage;
    unsigned code;
    unsigned told;
    char words[200];
};

/* A client with its mails. */
struct world {
    struct server server;
    struct transaction transaction;
    struct job jobs[JOBS_MAX];
    const struct job *late; /* it may not be begun any more */
    struct recipient recipients[JOBS_MAX][RECIPIENTS_MAX];
    char addresses[JOBS_MAX][RECIPIENTS_MAX][32];
    char senders[JOBS_MAX][32];
    struct result results[JOBS_MAX][RECIPIENTS_MAX];
    unsigned finished[JOBS_MAX];
    size_t job_count;
    size_t writes;
    size_t send_most; /* octets that one send takes */
    size_t server_hears; /* octets after which the line is cut; 0: never */
    size_t client_hears;
    size_t sent;
    size_t received;
};

static struct world world;

static void
put(struct server *server, const char *text)
{
    size_t length = strlen(text);

    assert_true(server->reply_length + length < sizeof(server->replies));
    memcpy(server->replies + server->reply_length, text, length);
    server->reply_length += length;
}

/* What is to be done instead; NULL: nothing. */
static const struct misbehaviour *
find_misbehaviour(struct server *server, const char *verb)
{
    unsigned nth = 0;

    for (size_t i = 0; i < COUNT(VERBS); i++) {
        if (strcmp(VERBS[i], verb) == 0)
            nth = ++server->seen[i];
    }
    for (size_t i = 0; i < server->misbehaviour_count; i++) {
        if (strcmp(server->misbehaviours[i].verb, verb) == 0 && server->misbehaviours[i].nth == nth)
            return &server->misbehaviours[i];
    }
    return NULL;
}

static bool
is_good(const char *reply)
{
    return reply[0] == '2' || reply[0] == '3';
}

static void
server_reset(struct server *server)
{
    server->in_mail = false;
    server->recipients = 0;
}

static void
end_content(struct server *server, const char *reply)
{
    server->in_content = false;
    if (is_good(reply) && server->recipients > 0)
        server->delivered[atoi(server->sender + 1)]++;
    server_reset(server);
    put(server, reply);
}

static const char *
standard_reply(struct server *server, const char *verb)
{
    if (strcmp(verb, "MAIL") == 0)
        return server->in_mail ? "503 5.5.1 nested MAIL command\r\n" : "250 2.1.0 Ok\r\n";
    if (strcmp(verb, "RCPT") == 0)
        return server->in_mail ? "250 2.1.5 Ok\r\n" : "503 5.5.1 need MAIL command\r\n";
    if (strcmp(verb, "DATA") == 0)
        return server->recipients > 0 ? "354 go\r\n" : "554 5.5.1 no valid recipients\r\n";
    if (strcmp(verb, "DOT") == 0)
        return "250 2.0.0 Ok: queued\r\n";
    if (strcmp(verb, "TEXT") == 0)
        return "";
    return strcmp(verb, "QUIT") == 0 ? "221 2.0.0 Bye\r\n" : "250 2.0.0 Ok\r\n";
}

static void
server_obey(struct server *server, const char *verb, const char *reply)
{
    if (strcmp(verb, "DOT") == 0) {
        end_content(server, reply);
        return;
    }
    if (strcmp(verb, "RSET") == 0)
        server_reset(server);
    if (strcmp(verb, "MAIL") == 0 && is_good(reply)) {
        server->in_mail = true;
        sscanf(server->line, "MAIL FROM:<%63[^@]", server->sender);
    }
    if (strcmp(verb, "RCPT") == 0 && is_good(reply))
        server->recipients++;
    if (strcmp(verb, "DATA") == 0 && reply[0] == '3') {
        server->in_content = true;
        server->content_length = 0;
    }
    put(server, reply);
}

static const char *
verb_of(const struct server *server)
{
    if (server->in_content)
        return strcmp(server->line, ".") == 0 ? "DOT" : "TEXT";
    for (size_t i = 0; i < COUNT(VERBS); i++) {
        if (strncmp(server->line, VERBS[i], strlen(VERBS[i])) == 0)
            return VERBS[i];
    }
    fail_msg("the server got \"%s\"", server->line);
    return "";
}

static void
remember(struct server *server)
{
    size_t length = server->line_length;

    memcpy(server->heard + server->heard_length, server->line, length);
    server->heard[server->heard_length + length] = '\n';
    server->heard_length += length + 1;
    server->heard[server->heard_length] = '\0';
}

static void
server_line(struct server *server)
{
    const struct misbehaviour *misbehaviour;
    const char *verb = verb_of(server);
    const char *reply = standard_reply(server, verb);

    if (!server->in_content)
        remember(server);
    misbehaviour = find_misbehaviour(server, verb);
    if (misbehaviour != NULL)
        reply = misbehaviour->reply;
    if (reply == NULL) {
        server->closed = true;
        return;
    }
    server_obey(server, verb, reply);
    if (strncmp(reply, "421", 3) == 0)
        server->closed = true;
}

static void
server_take(struct server *server, const char *octets, size_t length)
{
    for (size_t i = 0; i < length && !server->closed; i++) {
        if (server->in_content)
            server->content[server->content_length++] = octets[i];
        assert_true(server->line_length < sizeof(server->line));
        server->line[server->line_length++] = octets[i];
        if (octets[i] != '\n')
            continue;
        assert_true(server->line_length >= 2);
        assert_int_equal(server->line[server->line_length - 2], '\r');
        server->line_length -= 2;
        server->line[server->line_length] = '\0';
        server_line(server);
        server->line_length = 0;
    }
}

static void
on_told(
    void *context, struct job *job, size_t recipient, enum stage stage, const struct reply *reply)
{
    struct world *here = context;
    struct result *result = &here->results[job - here->jobs][recipient];

    assert_true(recipient < job->recipient_count);
    result->stage = stage;
    result->code = reply->code;
    result->told++;
    snprintf(result->words, sizeof(result->words), "%.190s", reply->words);
    assert_int_equal(reply->length, strlen(reply->words));
}

static void
on_finished(void *context, struct job *job)
{
    struct world *here = context;

    here->finished[job - here->jobs]++;
}

static bool
may_begin(void *context, struct job *job)
{
    const struct world *here = context;

    return job != here->late;
}

static const struct transaction_events EVENTS = {
    .told = on_told, .finished = on_finished, .may_begin = may_begin};

static const char CONTENT[] = "Subject: x\r\n\r\nHello\r\n.\r\n..dots\r\nend\r\n";

static void
world_begin(const struct misbehaviour *misbehaviours, size_t misbehaviour_count)
{
    memset(&world, 0, sizeof(world));
    world.server.misbehaviours = misbehaviours;
    world.server.misbehaviour_count = misbehaviour_count;
    world.send_most = SIZE_MAX;
}

static void
world_connect(const struct capabilities *capabilities)
{
    transaction_init(&world.transaction, capabilities, &EVENTS, &world);
}

/* A mail of "jN@a" to COUNT recipients. */
static struct job *
world_job(size_t count)
{
    size_t number = world.job_count++;
    struct job *job = &world.jobs[number];

    snprintf(world.senders[number], sizeof(world.senders[number]), "j%zu@a", number);
    job->sender = world.senders[number];
    for (size_t i = 0; i < count; i++) {
        snprintf(world.addresses[number][i], sizeof(world.addresses[number][i]), "r%zu@b", i);
        world.recipients[number][i].address = world.addresses[number][i];
    }
    job->recipients = world.recipients[number];
    job->recipient_count = count;
    job->content = (struct content){CONTENT, -1, sizeof(CONTENT) - 1};
    return job;
}

/* One send, as far as the line carries; false where there is nothing to send. */
static bool
world_send(void)
{
    size_t length;
    size_t carried;
    const char *octets = transaction_output(&world.transaction, &length);

    if (octets == NULL)
        return false;
    if (length > world.send_most)
        length = world.send_most;
    carried = length;
    if (world.server_hears > 0 && world.sent + length > world.server_hears)
        carried = world.sent < world.server_hears ? world.server_hears - world.sent : 0;
    world.writes++;
    transaction_sent(&world.transaction, length);
    world.sent += length;
    server_take(&world.server, octets, carried);
    if (carried < length)
        world.server.closed = true;
    return true;
}

static bool
world_receive(void)
{
    size_t length = world.server.reply_length;

    if (length == 0)
        return false;
    if (world.client_hears > 0 && world.received + length > world.client_hears) {
        length = world.client_hears - world.received;
        world.server.closed = true;
    }
    world.received += length;
    world.server.reply_length = 0;
    transaction_receive(&world.transaction, world.server.replies, length);
    return true;
}

/* Until nothing moves any more, or the connection ends. */
static void
world_run(void)
{
    bool moved = true;

    while (moved && !transaction_over(&world.transaction)) {
        moved = false;
        while (world_send())
            moved = true;
        if (world_receive())
            moved = true;
        if (world.server.closed)
            transaction_break(&world.transaction, "lost connection");
    }
}

/* What must hold whatever happened: each recipient is told of once, each mail given back once, and
 * nobody claims what is not so. */
static void
world_check(void)
{
    if (transaction_over(&world.transaction))
        assert_int_equal(transaction_jobs(&world.transaction), 0);
    for (size_t i = 0; i < world.job_count; i++) {
        bool sent = false;
        bool unknown = false;

        assert_int_equal(world.finished[i], 1);
        for (size_t j = 0; j < world.jobs[i].recipient_count; j++) {
            const struct result *result = &world.results[i][j];

            assert_int_equal(result->told, 1);
            sent = sent || (result->stage == STAGE_CONTENT && result->code / 100 == 2);
            unknown = unknown || result->stage == STAGE_UNKNOWN;
        }
        if (world.server.delivered[i] > 1)
            fail_msg("mail %zu arrived %u times", i, world.server.delivered[i]);
        if (sent && world.server.delivered[i] == 0)
            fail_msg("mail %zu did not arrive", i);
        if (world.server.delivered[i] == 1 && !sent && !unknown)
            fail_msg("mail %zu arrived, and nobody knows", i);
    }
}

static const struct capabilities PLAIN = {0};
static const struct capabilities PIPELINING = {.pipelining = true};

#endif
