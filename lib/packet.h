/*
 * Messages that travel together: what one system call sends and receives.
 *
 * A packet holds messages one after another, each behind a head that says how many octets and
 * descriptors are its own; the descriptors of all of them travel beside it, in the same order.
 */
#ifndef SMAILER_PACKET_H
#define SMAILER_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "lib/error.h"
#include "lib/field.h"
#include "lib/message.h"

/* Before each message. */
#define PACKET_HEAD_SIZE 8

/* Octets of the largest packet, which has but one message. */
#define PACKET_SIZE_MAX (MESSAGE_SIZE_MAX + PACKET_HEAD_SIZE)

/* Messages and descriptors that one packet may have. */
#define PACKET_MESSAGES_MAX 256
#define PACKET_DESCRIPTORS_MAX 64

/* One that is being filled. */
struct packet {
    TAILQ_ENTRY(packet) next;
    size_t room; /* octets that it may have */
    unsigned char *octets; /* so many of them as are needed so far */
    size_t allocated;
    size_t used;
    size_t message_count;
    int descriptors[PACKET_DESCRIPTORS_MAX]; /* its own */
    size_t descriptor_count;
};

/* With room for a message like OUTPUT, and for more. */
struct packet *packet_new(const struct field_output *output);

/* Closes its descriptors too. */
void packet_free(struct packet *packet);

bool packet_has_room(const struct packet *packet, const struct field_output *output);

/* Appends a message, for which there must be room. Its descriptors become the packet's. */
void packet_add(struct packet *packet, const struct field_output *output);

/* One that came. */
struct packet_reader {
    const unsigned char *octets; /* not the reader's */
    size_t size;
    size_t at;
    size_t message_count; /* so far */
    int descriptors[PACKET_DESCRIPTORS_MAX];
    size_t descriptor_count;
    size_t descriptor_at;
};

enum packet_progress { PACKET_MESSAGE, PACKET_END, PACKET_BROKEN };

/* Takes the next message; its descriptors are the caller's from then on. PACKET_BROKEN: the rest is
 * no message, and ERROR says why. */
enum packet_progress packet_next(
    struct packet_reader *reader, struct field_input *message, struct error *error);

/* Closes the descriptors of what was not taken. */
void packet_close_rest(struct packet_reader *reader);

#endif
