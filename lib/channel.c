#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/channel.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/packet.h"

/* What SCM_RIGHTS needs for all descriptors of a packet. */
union control {
    struct cmsghdr align;
    char octets[CMSG_SPACE(sizeof(int) * PACKET_DESCRIPTORS_MAX)];
};

struct channel {
    int descriptor;
    enum role self;
    enum role peer;
    uint32_t instance;
    const struct channel_events *events;
    void *context;
    struct event *readable;
    struct event *writable;
    struct event *turn_end; /* active while something is to leave at the end of this turn */
    TAILQ_HEAD(packet_list, packet) packets; /* that did not leave yet; the last may still grow */
    size_t backlog; /* messages in them that the pipe had no room for */
    bool busy; /* within a callback: close only marks */
    bool closed; /* the owner is done with it */
    bool broken; /* closed() was or will be called */
};

/* The messages of one packet are handled before another is received, so one buffer serves all
 * channels of a process, but for what is received from within a handler. */
static struct {
    unsigned char octets[PACKET_SIZE_MAX + 1];
    bool taken;
} received;

bool
channel_pair(int descriptors[2], struct error *error)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, descriptors) != 0)
        return error_errno(error, "make a pipe (socketpair)");
    return true;
}

static void
free_channel(struct channel *channel)
{
    struct packet *packet;

    while ((packet = TAILQ_FIRST(&channel->packets)) != NULL) {
        TAILQ_REMOVE(&channel->packets, packet, next);
        packet_free(packet);
    }
    free(channel);
}

/* Stops everything; the memory goes when no callback is under way. */
static void
stop(struct channel *channel)
{
    if (channel->descriptor < 0)
        return;
    event_free(channel->readable);
    event_free(channel->writable);
    event_free(channel->turn_end);
    close(channel->descriptor);
    channel->descriptor = -1;
}

static void
end_callback(struct channel *channel)
{
    channel->busy = false;
    if (channel->closed)
        free_channel(channel);
}

static void
report_broken(struct channel *channel, const char *reason)
{
    if (channel->broken)
        return;
    channel->broken = true;
    event_del(channel->readable);
    event_del(channel->writable);
    channel->events->closed(channel, reason);
}

/* Puts the descriptors that came with HEADER into READER; true where nothing was cut off. */
static bool
take_descriptors(struct msghdr *header, struct packet_reader *reader)
{
    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control != NULL;
         control = CMSG_NXTHDR(header, control)) {
        size_t count;

        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
            continue;
        count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (count > PACKET_DESCRIPTORS_MAX - reader->descriptor_count)
            count = PACKET_DESCRIPTORS_MAX - reader->descriptor_count;
        memcpy(reader->descriptors + reader->descriptor_count, CMSG_DATA(control),
            count * sizeof(int));
        reader->descriptor_count += count;
    }
    return (header->msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == 0;
}

/* Receives a packet into BUFFER, of sizeof(received.octets): 1, 0 at the end, -1 where there is
 * nothing now or it failed. */
static int
receive_octets(
    const struct channel *channel, unsigned char *buffer, struct packet_reader *reader, bool *whole)
{
    union control control;
    struct iovec part = {buffer, sizeof(received.octets)};
    struct msghdr header = {.msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control)};
    ssize_t size = recvmsg(channel->descriptor, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (size <= 0)
        return (int)size;
    *reader = (struct packet_reader){.octets = buffer, .size = (size_t)size};
    *whole = take_descriptors(&header, reader);
    return 1;
}

/* Hands on the next message of the packet; false where there is none, or nobody for it. */
static bool
hand_on(struct channel *channel, struct packet_reader *reader)
{
    struct field_input input;
    struct message message;
    struct error error;

    switch (packet_next(reader, &input, &error)) {
    case PACKET_END:
        return false;
    case PACKET_BROKEN:
        report_broken(channel, error.text);
        return false;
    case PACKET_MESSAGE:
        break;
    }
    if (!message_decode(&message, channel->peer, channel->self, &input, &error)) {
        report_broken(channel, error.text);
        return false;
    }
    channel->events->received(channel, &message);
    return !channel->closed && !channel->broken;
}

/* Receives a packet and hands on its messages; false where there is no more to do now. */
static bool
receive_packet(struct channel *channel, unsigned char *buffer)
{
    struct packet_reader reader;
    bool whole = true;
    int got = receive_octets(channel, buffer, &reader, &whole);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        report_broken(channel, "");
        return false;
    }
    if (!whole)
        report_broken(channel, "a packet was cut: it is too long");
    while (whole && hand_on(channel, &reader))
        continue;
    packet_close_rest(&reader);
    return !channel->closed && !channel->broken;
}

/* As receive_packet(). What is received from within a handler leaves the packet alone that is being
 * handled. */
static bool
receive(struct channel *channel)
{
    unsigned char *buffer;
    bool more;

    if (!received.taken) {
        received.taken = true;
        more = receive_packet(channel, received.octets);
        received.taken = false;
        return more;
    }
    buffer = memory_resize(NULL, 1, sizeof(received.octets));
    more = receive_packet(channel, buffer);
    free(buffer);
    return more;
}

/* One packet a turn, so that a busy peer does not starve the others. */
static void
on_readable(evutil_socket_t descriptor, short what, void *context)
{
    struct channel *channel = context;

    (void)descriptor;
    (void)what;
    channel->busy = true;
    receive(channel);
    end_callback(channel);
}

void
channel_read_out(struct channel *channel)
{
    if (channel->busy || channel->broken)
        return;
    channel->busy = true;
    while (receive(channel))
        continue;
    end_callback(channel);
}

static ssize_t
send_packet(const struct channel *channel, const struct packet *packet)
{
    union control control;
    size_t size = sizeof(int) * packet->descriptor_count;
    struct iovec part = {packet->octets, packet->used};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

    if (packet->descriptor_count > 0) {
        memset(&control, 0, CMSG_SPACE(size));
        header.msg_control = &control;
        header.msg_controllen = CMSG_SPACE(size);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(size);
        memcpy(CMSG_DATA(&control.align), packet->descriptors, size);
    }
    return sendmsg(channel->descriptor, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* True where a send that failed so may succeed later. */
static bool
is_passing(int code)
{
    return code == EAGAIN || code == EINTR || code == ENOBUFS || code == ENOMEM ||
           code == ETOOMANYREFS;
}

static size_t
count_messages(const struct channel *channel)
{
    const struct packet *packet;
    size_t count = 0;

    TAILQ_FOREACH(packet, &channel->packets, next)
    count += packet->message_count;
    return count;
}

/* Sends what the pipe takes; false where that is not all. What it cannot say to a peer that is gone
 * is dropped: that the peer is gone is told when it is read. */
static bool
send_packets(struct channel *channel)
{
    struct packet *packet;

    while ((packet = TAILQ_FIRST(&channel->packets)) != NULL) {
        if (send_packet(channel, packet) < 0 && is_passing(errno))
            break;
        TAILQ_REMOVE(&channel->packets, packet, next);
        packet_free(packet);
    }
    channel->backlog = count_messages(channel);
    return channel->backlog == 0;
}

void
channel_flush(struct channel *channel)
{
    if (channel == NULL || channel->broken || channel->closed || channel->backlog > 0)
        return;
    event_del(channel->turn_end);
    if (!send_packets(channel))
        event_add(channel->writable, NULL);
}

static void
on_turn_end(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    channel_flush(context);
}

static void
on_writable(evutil_socket_t descriptor, short what, void *context)
{
    struct channel *channel = context;

    (void)descriptor;
    (void)what;
    if (send_packets(channel))
        event_del(channel->writable);
}

struct channel *
channel_open(struct event_base *base, int descriptor, enum role self, enum role peer,
    uint32_t instance, const struct channel_events *events, void *context)
{
    struct channel *channel = memory_new(1, sizeof(*channel));

    channel->descriptor = descriptor;
    channel->self = self;
    channel->peer = peer;
    channel->instance = instance;
    channel->events = events;
    channel->context = context;
    TAILQ_INIT(&channel->packets);
    channel->readable = event_new(base, descriptor, EV_READ | EV_PERSIST, on_readable, channel);
    channel->writable = event_new(base, descriptor, EV_WRITE | EV_PERSIST, on_writable, channel);
    channel->turn_end = event_new(base, -1, 0, on_turn_end, channel);
    if (channel->readable == NULL || channel->writable == NULL || channel->turn_end == NULL ||
        event_add(channel->readable, NULL) != 0)
        fatal(EXIT_FAILURE, "no event for the pipe to %s", role_name(peer));
    return channel;
}

/* The packet that OUTPUT goes into. One that cannot grow any more need not wait. */
static struct packet *
packet_for(struct channel *channel, const struct field_output *output)
{
    struct packet *packet = TAILQ_LAST(&channel->packets, packet_list);

    if (packet != NULL && packet_has_room(packet, output))
        return packet;
    if (packet != NULL)
        channel_flush(channel);
    packet = packet_new(output);
    TAILQ_INSERT_TAIL(&channel->packets, packet, next);
    return packet;
}

/* The descriptors of a message stay its sender's: the packet gets its own. */
static void
copy_descriptors(const struct channel *channel, struct field_output *output)
{
    for (size_t i = 0; i < output->descriptor_count; i++) {
        output->descriptors[i] = fcntl(output->descriptors[i], F_DUPFD_CLOEXEC, 0);
        if (output->descriptors[i] < 0)
            fatal(EXIT_FAILURE, "out of descriptors for the pipe to %s: %s",
                role_name(channel->peer), strerror(errno));
    }
}

bool
channel_send(struct channel *channel, const struct message *message, struct error *error)
{
    static unsigned char octets[MESSAGE_SIZE_MAX];
    struct field_output output = {.octets = octets, .size = sizeof(octets)};

    if (!message_encode(message, channel->self, channel->peer, &output, error))
        return false;
    if (channel->broken || channel->closed)
        return true;
    copy_descriptors(channel, &output);
    packet_add(packet_for(channel, &output), &output);
    if (channel->backlog > 0)
        channel->backlog++;
    else
        event_active(channel->turn_end, EV_WRITE, 0);
    return true;
}

size_t
channel_backlog(const struct channel *channel)
{
    return channel->backlog;
}

void
channel_abandon(struct channel *channel)
{
    if (channel == NULL || channel->closed)
        return;
    channel->closed = true;
    stop(channel);
    if (!channel->busy)
        free_channel(channel);
}

void
channel_close(struct channel *channel)
{
    if (channel != NULL)
        channel_flush(channel);
    channel_abandon(channel);
}

enum role
channel_peer(const struct channel *channel)
{
    return channel->peer;
}

uint32_t
channel_instance(const struct channel *channel)
{
    return channel->instance;
}

void *
channel_context(const struct channel *channel)
{
    return channel->context;
}

void
channel_set_context(struct channel *channel, void *context)
{
    channel->context = context;
}

int
channel_descriptor(const struct channel *channel)
{
    return channel->descriptor;
}
