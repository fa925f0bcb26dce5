/*
 * A worker of smtp: one connection, for one account.
 */
#ifndef SMAILER_QMGR_WORKER_H
#define SMAILER_QMGR_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/channel.h"
#include "lib/message.h"
#include "qmgr/job.h"

struct account;

enum worker_state {
    WORKER_CONNECTING,
    WORKER_UP,
    WORKER_STOPPING /* it takes nothing new */
};

struct worker {
    TAILQ_ENTRY(worker) in_account;
    LIST_ENTRY(worker) in_all;
    uint32_t number;
    enum worker_state state;
    struct account *account;
    struct channel *channel; /* NULL once it was closed */
    uint32_t room; /* jobs at once */
    uint32_t tells; /* RELAY_TELLS_… */
    uint32_t place; /* of its connection, among all that its account may have */
    uint32_t in_hand;
    uint32_t unrecorded; /* jobs that it has told of and that are not moved yet */
    struct job_list jobs;
    struct job *trial; /* what it was started to try, until it is connected */
    uint64_t trial_number; /* whose dialogue it tells */
    bool served; /* a run that is shown has sent over it */
    bool
        reused; /* it is shown that a mail goes over a connection that was there, once that is so */
    bool alone; /* it has a job with strikes, and takes no other meanwhile */
    bool was_up;
    bool gone; /* smtp said that it ended */
    bool fault; /* of its own */
    bool told; /* what its connection came to */
    bool lost; /* it ended before it could */
    bool yields; /* it was stopped for others, who get its place */
    enum worker_kind kind;
    int64_t head_since; /* ms, monotonic: when its first job came to be the first */
    bool
        hung; /* jobs were recalled from behind another: it gets one at a time until one is quick */
    int64_t started_at; /* ms, monotonic */
    int64_t stopped_at; /* the same */
    int64_t idle_since; /* ms, monotonic; 0: it has jobs */
    char relay[321];
};

/* Asks smtp for a worker of that KIND; NULL where that is not possible now, or the account's
 * connections are with programs of another queue. */
struct worker *worker_start(struct account *account, enum worker_kind kind);

/* Gives JOB, which began at BEGUN, to the worker. */
void worker_deliver(struct worker *worker, struct job *job, struct quota_moment begun);

/* JOB is recorded, or that has to wait: its worker gets the place back. So no more than a worker's
 * room is ever sent and not recorded, whoever dies. */
void worker_note_recorded(struct job *job);

/* Lets it finish what it has, and end. */
void worker_stop(struct worker *worker);

void worker_handle_link_up(struct channel *from, const struct message *message);
void worker_handle_link_failed(struct channel *from, const struct message *message);
void worker_handle_result(struct channel *from, const struct message *message);
void worker_handle_dialogue(struct channel *from, const struct message *message);
void worker_handle_gone(struct channel *from, const struct message *message);

/* Frees the worker when its channel is empty and its end is known. */
void worker_settle(struct worker *worker);

/* A worker's channel was closed. */
void worker_left(struct channel *channel);

#endif
