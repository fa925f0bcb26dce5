/*
 * The messages between the programs; see messages.def.
 */
#ifndef SMAILER_MESSAGE_H
#define SMAILER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/field.h"
#include "lib/role.h"

/* Octets of the longest message. */
#define MESSAGE_SIZE_MAX 81920

/* Octets of a mail that travels within messages, and not in a memory file beside them. */
#define SMALL_MAIL_MAX 8192

enum message_type {
#define MESSAGE(NAME, name, from, to, fields) MESSAGE_##NAME,
#include "lib/messages.def"
#undef MESSAGE
    MESSAGE_COUNT
};

/* What a relay offers that changes what others say: with the first two it tells senders itself what
 * becomes of their mail, so that nobody else has to. */
#define RELAY_TELLS_SUCCESS 1U /* it offers DSN (RFC 3461) */
#define RELAY_TELLS_TIME 2U /* it offers DELIVERBY (RFC 2852) */
#define RELAY_TELLS_CODES 4U /* it offers ENHANCEDSTATUSCODES (RFC 2034) */

/* What a worker is for. The last two tell their dialogue. */
enum worker_kind {
    WORKER_PLAIN,
    WORKER_TRIAL, /* a single mail that is a test */
    WORKER_SHOWN /* the mails of a run that somebody watches: step by step, as sendmail speaks */
};

/* How a run is shown. */
enum show_step {
    SHOW_BEGIN, /* its mails are from now on */
    SHOW_FENCE, /* an empty line says that everything so far was told */
    SHOW_END /* the same once its connections are closed, too */
};

/* How a mail left qmgr's hands. */
enum job_end {
    JOB_SENT,
    JOB_DEFERRED, /* next_try says until when */
    JOB_DROPPED,
    JOB_SPLIT, /* a list: its mails appear in its place */
    JOB_GONE, /* the file is not there any more, or another one is */
    JOB_SKIPPED, /* the run does not ask for it; it stays as it was */
    JOB_LATER, /* it may still be in the writing; look again at next_try */
    JOB_STRUCK, /* somebody died with it in hand; offer it again, with its strikes */
    JOB_AGAIN /* nothing happened to it; offer it again */
};

enum parse_purpose { PARSE_DELIVER, PARSE_LIST };

enum parse_verdict {
    VERDICT_MAIL,
    VERDICT_LIST, /* several items: content has the documents */
    VERDICT_BAD, /* it can never be sent: reason */
    VERDICT_UNREADABLE, /* it does not parse, and may still be in the writing: reason */
    VERDICT_NO_ACCOUNT, /* the sender has no account */
    VERDICT_FAILED /* it could not be read or written now, whatever it is: reason */
};

/* What a worker must know of a mail. */
#define MAIL_FLAG_8BIT 1U /* the content has octets above 127 */
#define MAIL_FLAG_SMTPUTF8 2U /* an address has characters outside ASCII */
#define MAIL_FLAG_NO_TIME 4U /* fld_time was missing or impossible: time is the file's */
#define MAIL_FLAG_RET_FULL 8U /* a notice of failure is to hold it all */
#define MAIL_FLAG_RET_HDRS 16U /* ... or its header only */
#define MAIL_FLAG_8BITMIME 32U /* whoever sent it declared it so (RFC 6152) */
#define MAIL_FLAG_FLAWED 64U /* some of its headers were none, and were left out */
#define MAIL_FLAG_BY_RETURN 128U /* what is not there in time (deliver_by) is returned, */
#define MAIL_FLAG_BY_NOTIFY 256U /* ... or its sender told of that; */
#define MAIL_FLAG_BY_TRACE 512U /* and how far it came (RFC 2852) */

#define MESSAGE(NAME, name, from, to, fields)                                                      \
    struct message_##name {                                                                        \
        fields                                                                                     \
    };
#define U32(name) uint32_t name;
#define U64(name) uint64_t name;
#define I64(name) int64_t name;
#define TEXT(name, limit) const char *name;
#define PRIVATE(name, limit) const char *name;
#define BYTES(name, limit) struct bytes name;
#define DESCRIPTOR(name) int name;
#define OPTIONAL(name) int name;
#include "lib/messages.def"
#undef MESSAGE
#undef U32
#undef U64
#undef I64
#undef TEXT
#undef PRIVATE
#undef BYTES
#undef DESCRIPTOR
#undef OPTIONAL

struct message {
    enum message_type type;
    union {
#define MESSAGE(NAME, name, from, to, fields) struct message_##name name;
#include "lib/messages.def"
#undef MESSAGE
    };
};

/* Appends MESSAGE as octets. False where it is not FROM's to send to TO, or over a limit. */
bool message_encode(const struct message *message, enum role from, enum role to,
    struct field_output *output, struct error *error);

/* Fills MESSAGE from INPUT, which lives as long as MESSAGE is used. The descriptors in MESSAGE are
 * the caller's to close. False where the octets are no message that FROM may send to TO: too
 * short, too long, over a bound, not terminated; then INPUT's descriptors are closed. */
bool message_decode(struct message *message, enum role from, enum role to,
    struct field_input *input, struct error *error);

/* Closes the descriptors in MESSAGE. */
void message_discard(const struct message *message);

/* "OFFER job=7 …", for the trace. */
void message_trace(const struct message *message, char *target, size_t size);

#endif
