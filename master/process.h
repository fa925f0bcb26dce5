/*
 * One process of a generation: starting it with all that it is handed, and its end.
 */
#ifndef SMAILER_MASTER_PROCESS_H
#define SMAILER_MASTER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <event2/event.h>

#include "lib/channel.h"
#include "lib/configuration.h"
#include "lib/error.h"
#include "lib/role.h"
#include "master/logs.h"
#include "master/program.h"
#include "master/secrets.h"

#define PROCESS_REASON_SIZE 256

/* What processes are made of; it outlives them. */
struct supply {
    struct event_base *base;
    const struct configuration *configuration;
    const struct secrets *secrets;
    const struct programs *programs;
    const struct logs *logs;
    bool on_demand;
    int listener; /* for control, or -1 */
    int client; /* for control, or -1 */
};

struct generation;

struct process {
    struct generation *generation; /* whose it is */
    enum role role;
    uint32_t instance;
    pid_t pid; /* 0: none runs now */
    pid_t group; /* the processes that it started may still be there; 0: none */
    struct channel *channel; /* NULL: none */
    bool linked; /* its peers have their pipes to it */
    bool ready;
    bool worked;
    bool drained;
    int64_t started; /* ms, see timer_now */
    int64_t ready_since; /* the same, where it is ready */
    int64_t served; /* how long it was ready until it ended, ms */
    uint32_t restarts;
    unsigned failures; /* ends before a first job, in a row */
    struct event *restart; /* the timer until it is started again */
    char blame[PROCESS_REASON_SIZE]; /* why master killed it for what it did, or "" */
};

/* How a process ended. */
struct process_end {
    bool fault; /* it died of what it did, so what it held may be the cause */
    int status; /* what it exited with, or -1 */
    char reason[PROCESS_REASON_SIZE];
};

/* Starts PROCESS and sends it what is its own: the log, its configuration, INHERITANCE (-1: none),
 * for smtp the secrets, for control its sockets. EVENTS are of its channel, whose context PROCESS
 * is. */
bool process_start(struct process *process, const struct supply *supply, uint32_t generation,
    int inheritance, const struct channel_events *events, struct error *error);

/* Sends MESSAGE where the process is there to take it. */
void process_send(const struct process *process, const struct message *message);

/* Its log, again. */
void process_send_log(const struct process *process, const struct logs *logs);

/* Closes the channel; a program whose channel closes ends by itself. */
void process_disconnect(struct process *process);

/* SIGKILL to the process and all that it started. */
void process_kill(const struct process *process);

/* How PROCESS ended, by wait(2)'s STATUS. */
void process_describe_end(const struct process *process, int status, struct process_end *end);

/* It was reaped. */
void process_set_ended(struct process *process);

/* True where neither it nor what it started is there any more. */
bool process_is_gone(struct process *process);

#endif
