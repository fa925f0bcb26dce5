/*
 * A base, as pickup sees it: which of its files is to be offered next.
 *
 * Two sources feed it: what inotify tells (newest first, so that a single mail does not wait behind
 * a flood), and passes over the directories (oldest first, as far as a chunk of names reaches).
 * They take turns.
 */
#ifndef SMAILER_PICKUP_BASE_H
#define SMAILER_PICKUP_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "pickup/known.h"
#include "queue/queue.h"

struct run;

/* A file that may be offered; its name is its owner's to free. */
struct candidate {
    enum mail_state place;
    int64_t order; /* who goes first, as in struct mail_identity */
    char *name;
    int64_t second;
};

/* The passes over one place (MAIL_WAITING or MAIL_DEFERRED) of a base. */
struct pass {
    struct queue_scan *scan; /* the one under way, or NULL */
    bool wanted; /* begin (another) one, over all of it */
    bool for_run; /* the run waits for its end */
    bool missed; /* mails gave way in a flood: they are there, and wait for it */
    bool only_parked; /* it looks for parked mails that are wanted, and rests between */
    bool whole; /* it began after all that is wanted now was asked for */
    uint8_t number; /* of the one under way, or the last */
    int64_t not_before; /* ms, monotonic: keeps passes from following each other closely */
    int64_t waited_for_not_before; /* the same where mails are known to wait for it */
    int64_t due; /* ms since 1970: when the next file's time comes; 0: none */
    int64_t due_next; /* the same, as far as the pass under way saw */
    int64_t spent; /* ms that the one under way looked in vain so far */
};

/* Offers wanted of what is parked for an account. */
struct wanted {
    uint32_t account;
    uint32_t count;
};

#define BASE_FRESH_MAX 1024
#define BASE_CHUNK_MAX 512

struct base {
    TAILQ_ENTRY(base) active_next;
    bool active;
    uint32_t number; /* in the configuration's queues */
    struct queue *queue; /* NULL: not there now */
    int watch; /* of inotify, -1: none */
    uint32_t room; /* offers that qmgr takes */
    uint32_t in_hand;
    uint32_t parked;
    struct candidate fresh[BASE_FRESH_MAX]; /* a ring: the newest leaves first */
    size_t fresh_first; /* the oldest */
    size_t fresh_count;
    bool fresh_turn;
    size_t pass_turn;
    struct candidate chunk[BASE_CHUNK_MAX]; /* sorted */
    size_t chunk_count;
    size_t chunk_at;
    struct pass passes[2]; /* MAIL_WAITING, MAIL_DEFERRED */
    struct known known;
    struct wanted *wanted;
    size_t wanted_count;
    struct run *run; /* the run that asks for this base, or NULL */
    char alone[501]; /* what status shows beside: files that belong to no mail */
    char problem[512]; /* why qmgr or pickup cannot use it, "": all is well */
};

/* The next file to offer. False where there is none now; *AGAIN then says that the search is not at
 * its end, but took long enough for one time. The candidate is the caller's. */
bool base_next(struct base *base, struct candidate *candidate, bool *again);

/* NAME was written or came into the base's directory. */
void base_note_fresh(struct base *base, const char *name);

/* Files came of which nobody could tell the names. */
void base_note_missed(struct base *base);

/* The file with that key is not there any more. */
void base_forget(struct base *base, uint64_t key);

/* Tells qmgr of a file that was parked and is not there any more. */
void base_note_unparked(struct base *base, const struct known_file *file);

/* A file of PLACE is to be looked at again at UNTIL (ms since 1970; INT64_MAX: never). */
void base_note_due(struct base *base, enum mail_state place, int64_t until);

/* Closes what is under way, and begins passes over both places for the run. */
void base_begin_run(struct base *base, struct run *run);

/* True where nothing of the run is left to be found in this base. */
bool base_run_found(const struct base *base);

/* Begins passes over both places, as soon as there is time. */
void base_want_passes(struct base *base);

/* Offers up to COUNT of the mails parked for ACCOUNT. */
void base_want_parked(struct base *base, uint32_t account, uint32_t count);

/* When this base has something to look at again without anybody saying so: ms from now, -1 for
 * never. */
int64_t base_wakeup(const struct base *base);

/* Forgets everything but its number. */
void base_reset(struct base *base);

#endif
