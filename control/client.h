/*
 * The clients of the control socket: how many, who they are, and what they may ask.
 */
#ifndef SMAILER_CLIENT_H
#define SMAILER_CLIENT_H

#include "lib/channel.h"
#include "lib/message.h"

/* LISTENER, or -1: the control socket; TRUSTED, or -1: a client that is there already and may ask
 * anything. Both are owned from now on. Nobody is served before client_serve(). */
void client_listen(int listener, int trusted);

/* Serves the clients from now on, those that wait first. */
void client_serve(void);

/* Takes no new ones, and no new request. */
void client_drain(void);

/* True for the client that the on-demand tree is there for. */
bool client_is_trusted(const struct channel *client);

/* An ASK_... came. */
void client_asked(struct channel *channel, const struct message *message);

void client_left(struct channel *channel);

#endif
