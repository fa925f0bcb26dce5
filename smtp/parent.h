/*
 * The parent of the workers: it initialises libcurl, OpenSSL and the authorities once, reads no
 * secret, and speaks to nobody outside.
 */
#ifndef SMAILER_SMTP_PARENT_H
#define SMAILER_SMTP_PARENT_H

#include "lib/service.h"

bool parent_prepare(struct service_paths *paths, struct error *error);
bool parent_start(int inheritance, struct error *error);
void parent_drain(void);
void parent_joined(struct channel *peer);
void parent_left(struct channel *peer);

void parent_handle_secret(struct channel *from, const struct message *message);
void parent_handle_worker_start(struct channel *from, const struct message *message);
void parent_handle_ask_token(struct channel *from, const struct message *message);
void parent_handle_token(struct channel *from, const struct message *message);
void parent_handle_log(struct channel *from, const struct message *message);

#endif
