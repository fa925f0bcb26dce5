/*
 * What all programs but master have in common: they are started with a pipe to master, are told
 * their configuration, enter their sandbox, are given pipes to their peers, and then handle
 * messages until master says otherwise. A program is a table and a call of service_main().
 */
#ifndef SMAILER_SERVICE_H
#define SMAILER_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "lib/channel.h"
#include "lib/configuration.h"
#include "lib/error.h"
#include "lib/message.h"
#include "lib/role.h"
#include "lib/sandbox.h"

/* Where a program finds its pipe to master. */
#define SERVICE_DESCRIPTOR 3

#define SERVICE_PATHS_MAX 4096

struct service_paths {
    struct sandbox_path paths[SERVICE_PATHS_MAX];
    size_t count;
};

struct service_handler {
    enum message_type type;
    void (*handle)(struct channel *from, const struct message *message);
};

/* Functions that a program does not need are NULL. */
struct service {
    enum role role;
    /* The configuration is there, the sandbox not yet: open what will be out of reach, and name
     * the paths that stay within. */
    bool (*prepare)(struct service_paths *paths, struct error *error);
    /* The sandbox is on. INHERITANCE: what the last generation handed on, or -1; the caller's. */
    bool (*start)(int inheritance, struct error *error);
    void (*peer_joined)(struct channel *peer);
    /* The channel is closed right after. */
    void (*peer_left)(struct channel *peer);
    /* Take nothing new; call service_drained() when nothing is in hand. Where NULL, the program
     * has nothing in hand, ever. */
    void (*drain)(void);
    const struct service_handler *handlers;
    size_t handler_count;
};

/* The whole life of a program; returns its exit status. */
int service_main(const struct service *service, int argc, char **argv);

/* Adds a path to PATHS. PATH must live as long as the process. */
void service_allow(struct service_paths *paths, const char *path, unsigned int access);

const struct configuration *service_configuration(void);
struct event_base *service_base(void);
uint32_t service_instance(void);
/* What a kernel that lacks a part of the sandbox means; for a worker, which enters another. */
enum sandbox_mode service_sandbox_mode(void);
/* True where the tree of programs serves one client, and nothing is looked for unasked. */
bool service_on_demand(void);

struct channel *service_master(void);
/* The peer's channel, or NULL where it is not there now. */
struct channel *service_peer(enum role role, uint32_t instance);
/* Serves a pipe that did not come from master, with the same handlers; owns DESCRIPTOR. */
struct channel *service_adopt(int descriptor, enum role role, uint32_t instance);
/* Closes a channel, and forgets it; peer_left is not called. */
void service_dismiss(struct channel *peer);

/* channel_send(), where a message that cannot be encoded is a mistake in this program: fatal. A
 * NULL channel (the peer is not there now) takes it silently. */
void service_send(struct channel *channel, const struct message *message);

/* Tells master, the first time and at once, that a job was done; or begun, where it may be the end
 * of this program. */
void service_worked(void);
/* Nothing is in hand any more; INHERITANCE (or -1) stays the caller's. */
void service_drained(int inheritance);
/* Leaves service_main() with STATUS as soon as the call that is under way returns. */
void service_end(int status);

/* A timer of the process, fatal where there is no memory for it. */
struct event *service_timer(event_callback_fn callback, void *context);
/* Starts TIMER; it calls once, after so many milliseconds. */
void service_timer_start(struct event *timer, int64_t milliseconds);

/* In a forked child that goes on with a role of its own: closes every channel, forgets them and
 * the event base, and makes a new one. Nothing of master is served any more. */
void service_forked(enum role role);

#endif
