#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/memory.h"
#include "lib/packet.h"

/* A packet takes another message up to this size: more would not make it cheaper. */
#define PACKET_ROOM 32768

struct head {
    uint32_t size;
    uint32_t descriptor_count;
};

_Static_assert(sizeof(struct head) == PACKET_HEAD_SIZE, "the head of a message");

struct packet *
packet_new(const struct field_output *output)
{
    size_t needed = output->used + PACKET_HEAD_SIZE;
    size_t room = needed < PACKET_ROOM ? PACKET_ROOM : needed;
    struct packet *packet = memory_resize(NULL, 1, sizeof(*packet));

    packet->room = room;
    packet->octets = NULL;
    packet->allocated = 0;
    packet->used = 0;
    packet->message_count = 0;
    packet->descriptor_count = 0;
    return packet;
}

void
packet_free(struct packet *packet)
{
    for (size_t i = 0; i < packet->descriptor_count; i++)
        close(packet->descriptors[i]);
    free(packet->octets);
    free(packet);
}

bool
packet_has_room(const struct packet *packet, const struct field_output *output)
{
    return packet->message_count < PACKET_MESSAGES_MAX &&
           output->used + PACKET_HEAD_SIZE <= packet->room - packet->used &&
           output->descriptor_count <= PACKET_DESCRIPTORS_MAX - packet->descriptor_count;
}

/* Many packets have but one message, and are not to cost what the largest does. */
static void
grow(struct packet *packet, size_t needed)
{
    size_t size = packet->allocated * 2 > needed ? packet->allocated * 2 : needed;

    packet->octets = memory_resize(packet->octets, 1, size);
    packet->allocated = size;
}

void
packet_add(struct packet *packet, const struct field_output *output)
{
    struct head head = {(uint32_t)output->used, (uint32_t)output->descriptor_count};
    size_t needed = packet->used + sizeof(head) + output->used;

    if (needed > packet->allocated)
        grow(packet, needed);
    memcpy(packet->octets + packet->used, &head, sizeof(head));
    memcpy(packet->octets + packet->used + sizeof(head), output->octets, output->used);
    packet->used += sizeof(head) + output->used;
    memcpy(packet->descriptors + packet->descriptor_count, output->descriptors,
        output->descriptor_count * sizeof(int));
    packet->descriptor_count += output->descriptor_count;
    packet->message_count++;
}

static bool
is_whole(const struct packet_reader *reader, const struct head *head)
{
    return head->size <= MESSAGE_SIZE_MAX && head->size <= reader->size - reader->at &&
           head->descriptor_count <= FIELD_DESCRIPTORS_MAX &&
           head->descriptor_count <= reader->descriptor_count - reader->descriptor_at;
}

static bool
take_head(struct packet_reader *reader, struct head *head, struct error *error)
{
    if (reader->size - reader->at < sizeof(*head))
        return error_set(error, "a packet of %zu octets is cut", reader->size);
    memcpy(head, reader->octets + reader->at, sizeof(*head));
    reader->at += sizeof(*head);
    if (!is_whole(reader, head))
        return error_set(error, "a packet of %zu octets has a message of %u", reader->size,
            (unsigned int)head->size);
    if (++reader->message_count > PACKET_MESSAGES_MAX)
        return error_set(error, "a packet has more than %d messages", PACKET_MESSAGES_MAX);
    return true;
}

enum packet_progress
packet_next(struct packet_reader *reader, struct field_input *message, struct error *error)
{
    struct head head = {0};

    if (reader->at == reader->size && reader->descriptor_at == reader->descriptor_count)
        return PACKET_END;
    if (!take_head(reader, &head, error))
        return PACKET_BROKEN;
    *message = (struct field_input){.octets = reader->octets + reader->at,
        .size = head.size,
        .descriptor_count = head.descriptor_count};
    memcpy(message->descriptors, reader->descriptors + reader->descriptor_at,
        head.descriptor_count * sizeof(int));
    reader->at += head.size;
    reader->descriptor_at += head.descriptor_count;
    return PACKET_MESSAGE;
}

void
packet_close_rest(struct packet_reader *reader)
{
    while (reader->descriptor_at < reader->descriptor_count)
        close(reader->descriptors[reader->descriptor_at++]);
}
