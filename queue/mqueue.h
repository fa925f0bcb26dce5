/*
 * The kind "mqueue": the queue of sendmail. A mail is a job of two files, qfID (envelope and
 * headers) and dfID (body); it is rewritten, not moved. Other programs work in the same directory
 * at the same time, so a job is locked while it is in hand, as sendmail does it.
 *
 * MAIL_WAITING: a qf that was never tried. MAIL_DEFERRED: one that was. MAIL_HELD: an hf.
 *
 * All functions but mqueue_is_kind and mqueue_is_locked change the queue, and need a writable one.
 */
#ifndef SMAILER_QUEUE_MQUEUE_H
#define SMAILER_QUEUE_MQUEUE_H

#include "lib/outcome.h"
#include "queue/control_file.h"
#include "queue/queue.h"

/* All of a job's recipients that no other outcome names. */
#define MQUEUE_ALL_RECIPIENTS UINT32_MAX

bool mqueue_is_kind(const struct queue *queue);

/* True where another process holds the lock on the control file that DESCRIPTOR is of. */
bool mqueue_is_locked(int descriptor);

/* --- taking a job in hand ------------------------------------------------------------------- */

struct mqueue_job;

enum mqueue_take {
    MQUEUE_TAKEN,
    MQUEUE_BUSY, /* locked by somebody else */
    MQUEUE_YOUNG, /* its time has not come: the record says when it does */
    MQUEUE_GONE, /* there is no such file any more, or it was rewritten */
    MQUEUE_LEFT, /* it cannot be sent, and stays as it is, for the reason in error */
    MQUEUE_EMPTY, /* somebody is about to write it */
    MQUEUE_NO_DATA, /* its data file is not there; it stays as it is */
    MQUEUE_UNSAFE, /* others may write to it: it was set aside as Qf */
    MQUEUE_HELD, /* it is quarantined now */
    MQUEUE_LOST, /* it was set aside as Qf, for the reason in error */
    MQUEUE_FINISHED, /* it had no recipient left, or was empty for long: it is removed */
    MQUEUE_FAILED
};

/* Locks the job and opens its transcript (xf). FORCE: whatever its time. NOW in ms. *TAKEN is
 * the caller's after MQUEUE_TAKEN. */
enum mqueue_take mqueue_take(struct queue *queue, const struct mail_identity *identity, bool force,
    int64_t now, struct mqueue_job **taken, struct error *error);

/* Lets go of the job as it is. NULL is allowed. */
void mqueue_release(struct mqueue_job *job);

/* True where another transcript was in the way, which is gone now. */
bool mqueue_had_transcript(const struct mqueue_job *job);

/* Opens the job's transcript, to which lines may be appended that people read while it is in hand.
 * The descriptor is the caller's; -1: there is none. */
int mqueue_open_transcript(const struct mqueue_job *job);

/* What the job was when it was taken. */
const struct control_file *mqueue_control(const struct mqueue_job *job);

/* --- what an attempt makes of it -------------------------------------------------------------- */

/* What became of one recipient: the place of its R line, from 0. */
struct mqueue_outcome {
    uint32_t recipient;
    enum outcome outcome;
    uint32_t code; /* of the reply, 0: none */
    bool is_problem; /* it was never tried, for it is no address that mail can be sent to */
    uint32_t tells; /* what the relay tells senders of itself (RELAY_TELLS_…) */
    int status; /* what a run ends with because of it (sysexits.h) */
    char enhanced[16];
    char relay[321]; /* "host[address]:port", or "" */
    char words[QUEUE_REASON_SIZE]; /* the server's, or why */
};

enum mqueue_mention_kind {
    MENTION_FAILED,
    MENTION_DELAYED, /* only a warning: it is tried on */
    MENTION_RELAYED /* handed on to a relay that will not tell more */
};

/* A recipient that the sender is told of. */
struct mqueue_mention {
    uint32_t recipient;
    enum mqueue_mention_kind kind;
    const struct mqueue_outcome *outcome; /* its last */
    bool expired;
};

/* What is decided about a job. */
struct mqueue_decision {
    struct {
        bool leaves;
        char *status; /* M, or NULL: as it was */
    } * recipients; /* all of the job's */
    size_t recipient_count;
    struct mqueue_mention *mentions; /* none: nobody is told */
    size_t mention_count;
    size_t delivered; /* recipients */
    size_t failed;
    size_t remaining;
    bool warned; /* of them the sender is told, for the first time */
    int64_t next_try; /* ms, where recipients remain */
    int64_t expires; /* ms */
    char status[QUEUE_REASON_SIZE]; /* M, the last reason */
};

/* Decides at NOW (ms) what OUTCOMES make of JOB. DECISION's mentions point into OUTCOMES, and are
 * freed by mqueue_decision_free. */
void mqueue_decide(struct mqueue_job *job, const struct mqueue_outcome *outcomes, size_t count,
    int64_t now, struct mqueue_decision *decision);

void mqueue_decision_free(struct mqueue_decision *decision);

/* Does it: the job is rewritten, or removed, and released. On failure it stays taken, and this can
 * be tried again. */
bool mqueue_settle(struct mqueue_job *job, const struct mqueue_decision *decision, int64_t now,
    struct error *error);

/* Makes it a held one (hf), for REASON, and releases it. On failure it stays taken. */
bool mqueue_hold(struct mqueue_job *job, const char *reason, struct error *error);

/* Counts a fault of a program over it: *STRIKES so far. The job stays taken. */
bool mqueue_strike(struct mqueue_job *job, uint32_t *strikes, struct error *error);

/* --- new jobs --------------------------------------------------------------------------------- */

/* A job to be written. CONTROL has all but the numbers T, K, N, P, where T is 0. BODY: an open
 * file, whose octets from OFFSET on become the df. CLASS: what Precedence makes of it, 0 by
 * default. */
struct mqueue_submission {
    struct control_file control;
    int body;
    uint64_t offset;
    int64_t class;
};

/* Writes both files; they are on the disk, and the directory is synced, when it returns true. ID
 * (of MQUEUE_ID_SIZE octets) gets the job's, "" where there is none. */
#define MQUEUE_ID_SIZE 24
bool mqueue_submit(struct queue *queue, const struct mqueue_submission *submission, int64_t now,
    char id[MQUEUE_ID_SIZE], struct error *error);

#endif
