/*
 * A worker: a fork of smtp that serves one account over one connection at a time.
 */
#ifndef SMAILER_SMTP_WORKER_H
#define SMAILER_SMTP_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "lib/channel.h"
#include "lib/configuration.h"
#include "lib/message.h"

struct worker_start {
    uint32_t account; /* its number */
    const struct account_settings *settings;
    X509_STORE *authorities;
    const char *local_name;
    bool verbose; /* tell qmgr the dialogue */
    bool in_steps; /* one command after the other, RSET between two mails */
    int qmgr; /* the pipe to it; owned */
    int parent; /* the pipe to the parent; owned */
    _Atomic int64_t *beat; /* shared with the parent: ms, monotonic, when the worker last lived */
};

/* How often a worker shows that it lives, in ms. */
#define WORKER_BEAT_MS 1000

/* The life of a worker, in the forked child: takes its sandbox and its secret, connects at once. */
_Noreturn void worker_run(const struct worker_start *start);

/* True in a worker. */
bool worker_is_this(void);

/* A channel of this worker's is gone. */
void worker_left(struct channel *channel);

void worker_handle_deliver(struct channel *from, const struct message *message);
void worker_handle_recall(struct channel *from, const struct message *message);
void worker_handle_stop(struct channel *from, const struct message *message);
void worker_handle_token(struct channel *from, const struct message *message);
void worker_handle_log(struct channel *from, const struct message *message);

#endif
