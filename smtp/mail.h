/*
 * A mail in a worker's hand: what qmgr said of it, and when what happened to it.
 */
#ifndef SMAILER_SMTP_MAIL_H
#define SMAILER_SMTP_MAIL_H

#include <stdint.h>
#include <sys/queue.h>

#include "lib/channel.h"
#include "lib/error.h"
#include "lib/message.h"
#include "smtp/transaction.h"

struct mail {
    STAILQ_ENTRY(mail) next;
    struct job job;
    uint64_t number; /* qmgr's */
    unsigned returns; /* how often a session ended before it was tried */
    bool recalled; /* by qmgr, or because it is too late to begin */
    bool again; /* the session that had it ended: another one will have it */
    size_t told; /* recipients that qmgr was told of */
    int transcript; /* -1: none */
    bool transcribed; /* something stands in it of this session */
    int64_t arrived_ns; /* since 1970 */
    int64_t begin_until_ns; /* of the monotonic clock; 0: there is no such time */
    int64_t taken_ns; /* in hand */
    char *id; /* this and the addresses are in one block with the mail */
};

STAILQ_HEAD(mail_list, mail);

/* The mail of DELIVER, whose descriptors it owns from now on. NULL where it makes no sense; they
 * are closed then. */
struct mail *mail_new(const struct message_deliver *deliver, struct error *error);

void mail_free(struct mail *mail);

/* Appends a line of the dialogue with RELAY to the mail's transcript, as sendmail marks them. It is
 * for people only: that it cannot be written is no reason to stop. */
void mail_transcribe(
    struct mail *mail, const char *relay, bool by_us, const char *line, size_t length);

/* The mail of that number in TRANSACTION, whose jobs' contexts are mails; NULL where it is not
 * there.
 */
struct mail *mail_in_session(const struct transaction *transaction, uint64_t number);

/* CLOCK_REALTIME in nanoseconds. */
int64_t mail_clock(void);

/* For the log's delays=, in nanoseconds since 1970. */
struct mail_times {
    int64_t opened_ns; /* the connection was begun, */
    int64_t connected_ns; /* and was there */
    int64_t reported_ns; /* when a mail was reported last */
};

/* Logs what became of a recipient, unless nothing did, and tells QMGR; the transcript too. */
void mail_report(struct mail *mail, size_t recipient, enum stage stage, const struct reply *reply,
    const char *relay, struct mail_times *times, struct channel *qmgr);

#endif
