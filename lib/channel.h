/*
 * A pipe to another program: a SOCK_SEQPACKET socket that carries messages and descriptors.
 *
 * What is sent within one turn of the event loop leaves together at its end, in one packet where it
 * fits (see packet.h): one system call, and one waking of the receiver, for all of it.
 *
 * Nobody ever waits on a full one: what it does not take at once is kept here, and that is bounded
 * by the credits that the receivers grant (see messages.def), not here.
 */
#ifndef SMAILER_CHANNEL_H
#define SMAILER_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "lib/error.h"
#include "lib/message.h"
#include "lib/role.h"

struct channel;

struct channel_events {
    /* A message came. Its texts are valid during the call; its descriptors are the receiver's to
     * close. */
    void (*received)(struct channel *channel, const struct message *message);
    /* The other side is gone (reason ""), or what it sent is no message that it may send. Nothing
     * more will come; the channel is the owner's to close, now or later. */
    void (*closed)(struct channel *channel, const char *reason);
};

/* Both ends of a new pipe, close-on-exec. */
bool channel_pair(int descriptors[2], struct error *error);

/* Serves DESCRIPTOR (owned from now on) in BASE. SELF is this side's role, PEER (with its INSTANCE)
 * the other's; CONTEXT is the owner's. Never NULL. */
struct channel *channel_open(struct event_base *base, int descriptor, enum role self,
    enum role peer, uint32_t instance, const struct channel_events *events, void *context);

/* Sends MESSAGE, whose descriptors stay the caller's. False where it is not one to send (which is
 * a mistake in this program); that the other side is gone is told by closed(), not here. */
bool channel_send(struct channel *channel, const struct message *message, struct error *error);

/* Sends what is to leave at the end of this turn, now. For who does not come back to the event
 * loop, or must not die with it unsaid. CHANNEL may be NULL: nothing. */
void channel_flush(struct channel *channel);

/* Messages that the other side had no room for yet. */
size_t channel_backlog(const struct channel *channel);

/* Receives what there is, now: to its end, where the other side is gone already. */
void channel_read_out(struct channel *channel);

/* What was sent leaves before, as far as the pipe takes it. May be called from within received()
 * and closed(). */
void channel_close(struct channel *channel);

/* The same of a copy of the channel that a fork made: what is to leave is the parent's to send. */
void channel_abandon(struct channel *channel);

enum role channel_peer(const struct channel *channel);
uint32_t channel_instance(const struct channel *channel);
void *channel_context(const struct channel *channel);
void channel_set_context(struct channel *channel, void *context);
int channel_descriptor(const struct channel *channel);

#endif
