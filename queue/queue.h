/*
 * The directory queues behind one interface: pickup finds mails here, qmgr moves and records them.
 *
 * A queue is used by one thread at a time. The functions from queue_move_prepare on change it and
 * need one that was opened with `writable`. Times are milliseconds since the epoch unless a name
 * says _ns.
 */
#ifndef SMAILER_QUEUE_H
#define SMAILER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/mail_id.h"
#include "queue/flush.h"

#define QUEUE_NAME_SIZE 256 /* a file's name: up to 255 octets of any kind, and NUL */
#define QUEUE_TEMPORARY_SIZE 48 /* a temporary file's name, and NUL */
#define QUEUE_REASON_SIZE 1024 /* the server's words, or why: longer ones are cut */
#define QUEUE_GRACE 60000 /* a record without its file is swept when it is this old (ms) */
#define QUEUE_STRIKES_TO_DEFER 3 /* so many faults of a program over one mail defer it */
#define QUEUE_SPLIT_DOCUMENTS_MAX 1000000 /* items in one list */

/* The states of a mail. All but the last are also places: each has a directory of its own. */
#define MAIL_STATES(STATE)                                                                         \
    STATE(MAIL_WAITING, "waiting")                                                                 \
    STATE(MAIL_DEFERRED, "deferred")                                                               \
    STATE(MAIL_SENT, "sent")                                                                       \
    STATE(MAIL_DROPPED, "dropped")                                                                 \
    STATE(MAIL_HELD, "held")

#define MAIL_STATE_VALUE(value, name) value,
enum mail_state { MAIL_STATES(MAIL_STATE_VALUE) MAIL_STATE_COUNT };
#undef MAIL_STATE_VALUE

/* Which file a mail is. Where any of it differs, it is another mail. */
struct mail_identity {
    enum mail_state place; /* where it lies; MAIL_HELD only in an mqueue */
    char name[QUEUE_NAME_SIZE];
    uint64_t device;
    uint64_t inode;
    uint64_t size; /* octets */
    int64_t mtime_ns; /* nanoseconds since the epoch */
    int64_t order[2]; /* who goes first: the smaller one; where equal, by the second number */
};

/* False where it cannot be any mail's: its name or place may come from another process, and must
 * not lead anywhere else. */
bool mail_identity_is_valid(const struct mail_identity *identity);

/* What is remembered beside a mail: see smailer's table of states. */
struct mail_record {
    char id[MAIL_ID_SIZE]; /* empty where it never became known */
    char name[QUEUE_NAME_SIZE]; /* the file's first name, which the id's hash comes from */
    uint32_t attempts; /* so many tries ended without success */
    uint32_t strikes; /* so many programs died with it in hand, one after the other */
    int64_t first_try; /* 0: never */
    int64_t last_try; /* 0: never */
    int64_t next_try; /* the record file's mtime */
    char stage[32]; /* of the SMTP session, empty where none */
    uint32_t code; /* the server's reply code, 0 where none */
    char reason[QUEUE_REASON_SIZE]; /* any octets but NUL */
};

struct queue;
struct queue_kind;

struct queue_options {
    const char *section; /* of main.cf: "sowa1" */
    const char *sid; /* of the base */
    int directory; /* PATH starts here (no link on the way is followed then), or AT_FDCWD */
    const char *path;
    const char *pattern; /* fnmatch(3): which names are mails; NULL: all */
    uint64_t max_message_size;
    int64_t retry_interval; /* ms; next tries farther away are clamped to it */
    int64_t expire; /* ms; an mqueue's mails are given up at that age */
    int64_t warn_after; /* ms; and their senders warned, 0: never */
    bool writable; /* for qmgr: lock it, make what is missing, test what it needs */
};

/* The kind called NAME ("spool", "mqueue"), NULL where there is none. */
const struct queue_kind *queue_kind_find(const char *name);

/* Opens the queue (copies all that OPTIONS points to). NULL with the reason where it cannot be
 * used; ENOENT in error.code: not there (yet). Holds up to 7 descriptors. */
struct queue *queue_open(
    const struct queue_kind *kind, const struct queue_options *options, struct error *error);
void queue_close(struct queue *queue);

const char *queue_section(const struct queue *queue);
const char *queue_sid(const struct queue *queue);
const char *queue_path(const struct queue *queue);
int queue_descriptor(const struct queue *queue); /* of the directory, for inotify and the like */

/* --- finding ------------------------------------------------------------------------------- */

/* Whether a file called NAME is a mail: no leading dot, no ~ .tmp .part at its end, pattern fits.
 */
bool queue_name_is_mail(const struct queue *queue, const char *name);

/* An iteration over the names of a place, without a system call per name. Files that come and go
 * meanwhile may be seen or not. A scan of a place whose directory does not exist finds nothing. */
struct queue_scan;
struct queue_scan *queue_scan_open(struct queue *queue, enum mail_state place, struct error *error);
/* False at the end (error.code 0 and empty text) or on failure. Only names of mails are given. */
bool queue_scan_next(struct queue_scan *scan, char name[QUEUE_NAME_SIZE], struct error *error);
void queue_scan_close(struct queue_scan *scan);

enum queue_found {
    QUEUE_FOUND,
    QUEUE_FOUND_TOO_LARGE, /* identity is filled, there is no descriptor */
    QUEUE_FOUND_GONE, /* no such file any more, or a directory, or no name of a mail at all */
    QUEUE_FOUND_OTHER, /* a link, a FIFO, ...: it can only be dropped; identity is filled */
    QUEUE_FOUND_FAILED /* with the reason */
};

/* Opens the mail NAME of PLACE for reading, never following links nor waiting. *DESCRIPTOR is the
 * caller's; DESCRIPTOR may be NULL where only the identity is wanted (which opens nothing). */
enum queue_found queue_mail_find(struct queue *queue, enum mail_state place, const char *name,
    struct mail_identity *identity, int *descriptor, struct error *error);

/* Opens what belongs to the mail beside its own file (an mqueue's data file). *DESCRIPTOR is the
 * caller's, or -1 where mails of this kind have no such thing. */
enum queue_found queue_mail_find_data(struct queue *queue, const struct mail_identity *identity,
    int *descriptor, uint64_t *size, struct error *error);

/* The hash in the mail's id. It comes from the file's first name and its mtime, and outlives new
 * names and places. */
uint64_t queue_mail_hash(struct queue *queue, const struct mail_identity *identity);

/* Reads the mail's record of its place. False where it has none (or a damaged one, which is
 * logged): never tried. next_try is at most NOW + retry_interval. A deferred mail without a record
 * (the original smailer's) gets a next_try spread over retry_interval from NOW, false is returned,
 * and the rest of RECORD is empty but its name. */
bool queue_mail_record(struct queue *queue, const struct mail_identity *identity, int64_t now,
    struct mail_record *record);

/* For who opened the queue only to find: a waiting mail may have a record from now on. */
void queue_note_strike(struct queue *queue);

/* --- moving (qmgr's committer only) ---------------------------------------------------------- */

enum queue_result {
    QUEUE_DONE,
    QUEUE_MORE, /* of what works in slices: call again */
    QUEUE_REPLACED, /* another file has the name now: a new mail, left or put back in its place */
    QUEUE_GONE, /* the file was removed meanwhile */
    QUEUE_FAILED /* nothing was changed; the reason is in error */
};

/* One mail's way into TARGET: MAIL_SENT, MAIL_DEFERRED or MAIL_DROPPED; or MAIL_WAITING for a
 * waiting mail that only gets its record written (a strike). The first four are the caller's. */
struct queue_move {
    struct queue *queue;
    struct mail_identity identity;
    enum mail_state target;
    struct mail_record record; /* the new one (name is filled in here); of no use for MAIL_SENT */
    enum queue_result result;
    char name[QUEUE_NAME_SIZE]; /* in its final place; another where its own was taken */
    struct error error;
    uint64_t hash; /* of its id */
    char record_name[QUEUE_TEMPORARY_SIZE]; /* private: the record before it has its name */
    int record_descriptor; /* private */
    size_t record_sync; /* private */
};

/* Makes a move, one rename: the mail's record is written, and added to FLUSH; when that has run,
 * the move is committed. Touches directories: a sync has to follow, in the end. A mail may be in
 * one move at a time; its queue may be used on in between, but not be closed. */
void queue_move_prepare(struct queue_move *move, struct queue_flush *flush);
void queue_move_commit(struct queue_move *move, const struct queue_flush *flush);

/* Syncs the directories of QUEUES that were touched until the beginning: they are added to FLUSH;
 * when that has run, the end looks at what came of it. A queue may be in one sync at a time. Where
 * it fails the queue is not trusted: all that changes it fails with that reason, until writing and
 * syncing works again (tried at most once a second). The end is false then, with the first reason.
 */
void queue_sync_begin(struct queue *queues[], size_t count, struct queue_flush *flush);
bool queue_sync_end(
    struct queue *queues[], size_t count, const struct queue_flush *flush, struct error *error);
bool queue_needs_sync(const struct queue *queue);

/* Splits the list IDENTITY (a waiting mail) into its documents. DESCRIPTOR is a sealed memfd: for
 * each document its length in decimal digits, a line feed, and the document; it stays the
 * caller's, and open until the end. The documents get the list's mtime, owner and mode. NULL where
 * DESCRIPTOR is not that, with the reason. */
struct queue_split;
struct queue_split *queue_split_begin(
    struct queue *queue, const struct mail_identity *identity, int descriptor, struct error *error);
/* Does what takes up to LIMIT documents. QUEUE_MORE: call again. Otherwise it is over: after
 * QUEUE_GONE and QUEUE_REPLACED nothing is left of it, after QUEUE_FAILED a recovery has to finish
 * or undo what is. */
enum queue_result queue_split_step(struct queue_split *split, size_t limit, struct error *error);
size_t queue_split_documents(const struct queue_split *split);
/* Frees it; a split that is not over is left for the next one's recovery. */
void queue_split_end(struct queue_split *split);

/* After opening, and now and then: finishes or undoes splits that a death interrupted, and gives
 * records to the deferred mails that have none. In slices of up to LIMIT files; QUEUE_MORE: call
 * again. */
struct queue_recovery;
struct queue_recovery *queue_recovery_begin(struct queue *queue);
enum queue_result queue_recovery_step(
    struct queue_recovery *recovery, int64_t now, size_t limit, struct error *error);
void queue_recovery_end(struct queue_recovery *recovery);

/* Retention. Sent and dropped mails leave when they were moved longer ago (ctime) than KEEP_SENT
 * and KEEP_DROPPED (ms; 0: never); records without their file leave too. In an mqueue, what a death
 * left in rewriting leaves. */
struct queue_sweep_rules {
    int64_t keep_sent;
    int64_t keep_dropped;
    /* Called for each mail removed. ID is empty where no record knew it. */
    void (*removed)(void *context, struct queue *queue, const struct mail_identity *identity,
        uint64_t hash, const char *id);
    /* Called for each file of an mqueue that belongs to no job, and is kept. */
    void (*alone)(void *context, const char *name);
    void *context;
};
struct queue_sweep;
struct queue_sweep *queue_sweep_begin(struct queue *queue, const struct queue_sweep_rules *rules);
/* Looks at up to LIMIT directory entries; QUEUE_MORE: call again. */
enum queue_result queue_sweep_step(
    struct queue_sweep *sweep, int64_t now, size_t limit, struct error *error);
void queue_sweep_end(struct queue_sweep *sweep);

#endif
