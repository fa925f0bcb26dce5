/*
 * The mails of one SMTP session: which octets to send, and what each reply means for which mail.
 *
 * It does no input or output of its own but reading contents. Its owner sends what
 * transaction_output() gives, tells with transaction_sent() how much of it went out, hands over
 * what came with transaction_receive(), and learns the results through the events.
 *
 * With PIPELINING the end of one mail's content leaves in one write with RSET, MAIL, RCPT and DATA
 * of the next (RFC 2920), so that a mail costs one round trip; without, one command at a time.
 */
#ifndef SMAILER_SMTP_TRANSACTION_H
#define SMAILER_SMTP_TRANSACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/outcome.h"
#include "smtp/capability.h"
#include "smtp/command.h"
#include "smtp/content.h"
#include "smtp/reply.h"

/* Mails that a session has in hand at the most. */
#define TRANSACTION_JOBS_MAX 16

/* Commands whose replies are awaited at the most. */
#define TRANSACTION_AWAITED_MAX 256

/* Octets that are sent at once at the most. */
#define TRANSACTION_OUTPUT_SIZE 65536

enum recipient_state {
    RECIPIENT_WAITING,
    RECIPIENT_ACCEPTED, /* by RCPT; what becomes of it is not known */
    RECIPIENT_TOLD /* its result is told */
};

struct recipient {
    const char *address;
    struct recipient_parameters parameters;
    enum recipient_state state; /* the engine's */
};

/* A mail. Everything it points to is the owner's, and stays until finished() gives it back. */
struct job {
    const char *sender; /* "": the null sender */
    struct recipient *recipients;
    size_t recipient_count;
    struct content content;
    struct content encoded; /* the same in 7 bits, where eight_bit is set and size not 0 */
    bool eight_bit; /* the content has octets above 127 */
    bool declared_8bit; /* its sender said so, whether it has them or not */
    bool smtputf8; /* headers have characters outside ASCII */
    const char *return_part; /* RET and ENVID of DSN, or NULL */
    const char *envelope_id;
    const char *auth; /* AUTH= (RFC 4954, section 5), or NULL */
    int64_t deliver_by; /* until when it is to be there: s since 1970, 0: whenever */
    bool returned_late; /* it goes back when it is not, */
    bool traced_late; /* and its sender wants to know how far it came */
    void *context; /* the owner's */

    /* The engine's. */
    size_t told; /* recipients whose results are told */
    size_t accepted; /* recipients that RCPT accepted and whose results are not told */
    size_t awaited; /* replies */
    const struct content *chosen; /* of the two contents */
    bool begun; /* the server heard of it */
    bool dotted; /* the final dot is composed ... */
    uint64_t dot; /* ... and stands there in the session's octets */
};

/* None of these may call back into the transaction. */
struct transaction_events {
    /* What became of a recipient: outcome_decide() says what it means. With STAGE_UNTRIED the mail
     * was not tried, and another connection may. REPLY is valid during the call; its code is 0
     * where there was none, its words then say what happened instead. */
    void (*told)(void *context, struct job *job, size_t recipient, enum stage stage,
        const struct reply *reply);
    /* All recipients of JOB are told of, and the engine is done with it. */
    void (*finished)(void *context, struct job *job);
    /* A line of the dialogue, without its end, as it is composed or came, and which mail it is
     * about (NULL: none); may be NULL. */
    void (*spoken)(
        void *context, const struct job *job, bool by_us, const char *line, size_t length);
    /* Whether JOB may be begun now, asked before its MAIL; else it is told as STAGE_UNTRIED. May be
     * NULL: always. */
    bool (*may_begin)(void *context, struct job *job);
};

enum command {
    COMMAND_RSET,
    COMMAND_MAIL,
    COMMAND_RCPT,
    COMMAND_DATA,
    COMMAND_CONTENT, /* content and dot */
    COMMAND_LONE_DOT, /* 354 came although no recipient was accepted */
    COMMAND_QUIT,
    COMMAND_COUNT
};

/* A reply that is to come. */
struct awaited {
    enum command command;
    struct job *job; /* NULL: QUIT's */
    size_t recipient; /* RCPT's */
    uint64_t end; /* the session's octets that must be out before it can come */
};

/* What is composed next. */
enum step {
    STEP_BEGIN, /* nothing of this mail yet */
    STEP_MAIL,
    STEP_RCPT,
    STEP_DATA,
    STEP_WAIT, /* for the reply to DATA */
    STEP_CONTENT,
    STEP_DOT,
    STEP_COUNT
};

struct transaction {
    struct capabilities capabilities;
    const struct transaction_events *events;
    void *context;

    struct job *jobs[TRANSACTION_JOBS_MAX]; /* in hand, in order, in a ring */
    size_t first_job;
    size_t job_count;
    size_t sending; /* how many of them are composed to the end */

    enum step step; /* of the mail that is being composed */
    size_t recipient; /* the next RCPT of it */
    struct content_stream stream;
    bool used; /* a MAIL was sent: RSET before the next */
    bool resets; /* RSET goes before each MAIL but the first, whether that is needed or not */
    bool clean; /* the last transaction ended by itself: without pipelining, no RSET */
    uint64_t answered; /* mails that the server dealt with */

    struct awaited awaited[TRANSACTION_AWAITED_MAX]; /* a ring */
    size_t first_awaited;
    size_t awaited_count;

    char output[TRANSACTION_OUTPUT_SIZE];
    size_t output_from; /* what is composed and not sent */
    size_t output_to;
    uint64_t composed; /* the session's octets so far: composed, ... */
    uint64_t sent; /* ... sent, ... */
    uint64_t reached; /* ... and those that may have reached the server */

    struct reply_reader reader;
    bool quitting;
    bool doomed; /* nothing is said any more; it is over with the reply to what was */
    bool over; /* nothing more can be done in this session */
};

/* A session with a server that offers CAPABILITIES; pipelining is used where they have it. */
void transaction_init(struct transaction *transaction, const struct capabilities *capabilities,
    const struct transaction_events *events, void *context);

/* Takes JOB in hand; false where there is no room, or the session is over. */
bool transaction_add(struct transaction *transaction, struct job *job);

/* What is to be sent now, *LENGTH octets; NULL: nothing. It stays the same until something of it is
 * told sent, for TLS wants a write repeated as it was. */
const char *transaction_output(struct transaction *transaction, size_t *length);

/* So many octets of the output went out. */
void transaction_sent(struct transaction *transaction, size_t length);

/* The output may have gone out in part although nobody can say how much (a TLS write that has to
 * be repeated). */
void transaction_touched(struct transaction *transaction);

/* What the server sent. */
void transaction_receive(struct transaction *transaction, const char *octets, size_t length);

/* The session is of no use any more: WORDS say why ("lost connection"). Tells of every mail in
 * hand: the one under way is blamed, those behind it are untried. Does nothing when it is over. */
void transaction_break(struct transaction *transaction, const char *words);

/* Gives the mail with CONTEXT back, untried, where it waits behind another and the server has got
 * nothing of its content. Where the server has heard of it, the session ends with the one before.
 * False where it is none of these. */
bool transaction_recall(struct transaction *transaction, const void *context);

/* Once nothing is in hand any more: QUIT. Takes no more jobs. */
void transaction_quit(struct transaction *transaction);

/* True where the session is over, broken or after QUIT. */
bool transaction_over(const struct transaction *transaction);

/* Mails in hand. */
size_t transaction_jobs(const struct transaction *transaction);

/* Mails that the server dealt with, whatever it said. */
uint64_t transaction_answered(const struct transaction *transaction);

/* What is waited for, for the choice of a time limit: STAGE_UNTRIED when nothing is, STAGE_CONTENT
 * while content goes out, STAGE_UNKNOWN for the reply to the final dot. */
enum stage transaction_stage(const struct transaction *transaction);

#endif
