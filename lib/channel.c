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

/* Messages taken in one go, so that one busy peer does not starve the others. */
#define BURST 64

/* A message that the pipe had no room for. */
struct pending {
    STAILQ_ENTRY(pending) next;
    size_t size;
    int descriptors[FIELD_DESCRIPTORS_MAX];
    size_t descriptor_count;
    unsigned char octets[];
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
    STAILQ_HEAD(, pending) backlog;
    size_t backlog_count;
    bool busy; /* within a callback: close only marks */
    bool closed; /* the owner is done with it */
    bool broken; /* closed() was or will be called */
};

/* One message is handled at a time, so one buffer serves all channels of a process. */
static unsigned char received_octets[MESSAGE_SIZE_MAX + 1];

bool
channel_pair(int descriptors[2], struct error *error)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, descriptors) != 0)
        return error_errno(error, "make a pipe (socketpair)");
    return true;
}

static void
free_pending(struct pending *pending)
{
    for (size_t i = 0; i < pending->descriptor_count; i++)
        close(pending->descriptors[i]);
    free(pending);
}

static void
free_channel(struct channel *channel)
{
    struct pending *pending;

    while ((pending = STAILQ_FIRST(&channel->backlog)) != NULL) {
        STAILQ_REMOVE_HEAD(&channel->backlog, next);
        free_pending(pending);
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

/* Puts the descriptors that came with HEADER into INPUT; true where none was cut off. */
static bool
take_descriptors(struct msghdr *header, struct field_input *input)
{
    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control != NULL;
         control = CMSG_NXTHDR(header, control)) {
        size_t count;

        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
            continue;
        count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (count > FIELD_DESCRIPTORS_MAX - input->descriptor_count)
            count = FIELD_DESCRIPTORS_MAX - input->descriptor_count;
        memcpy(
            input->descriptors + input->descriptor_count, CMSG_DATA(control), count * sizeof(int));
        input->descriptor_count += count;
    }
    return (header->msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == 0;
}

/* Receives one message's octets: 1, 0 at the end, -1 where there is nothing now or it failed. */
static int
receive_octets(struct channel *channel, struct field_input *input, bool *whole)
{
    union {
        struct cmsghdr align;
        char octets[CMSG_SPACE(sizeof(int) * FIELD_DESCRIPTORS_MAX)];
    } control;
    struct iovec part = {received_octets, sizeof(received_octets)};
    struct msghdr header = {.msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control)};
    ssize_t size = recvmsg(channel->descriptor, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (size <= 0)
        return (int)size;
    *input = (struct field_input){.octets = received_octets, .size = (size_t)size};
    *whole = take_descriptors(&header, input);
    return 1;
}

/* Receives and hands on one message; false where there is no more to do now. */
static bool
receive_message(struct channel *channel)
{
    struct field_input input;
    struct message message;
    struct error error;
    bool whole = true;
    int received = receive_octets(channel, &input, &whole);

    if (received < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (received <= 0) {
        report_broken(channel, "");
        return false;
    }
    /* What was cut is decoded all the same, so that its descriptors find their end. */
    if (!message_decode(&message, channel->peer, channel->self, &input, &error) || !whole) {
        report_broken(channel, whole ? error.text : "a message was cut: it is too long");
        return false;
    }
    channel->events->received(channel, &message);
    return !channel->closed && !channel->broken;
}

static void
on_readable(evutil_socket_t descriptor, short what, void *context)
{
    struct channel *channel = context;

    (void)descriptor;
    (void)what;
    channel->busy = true;
    for (int i = 0; i < BURST && receive_message(channel); i++)
        continue;
    end_callback(channel);
}

void
channel_read_out(struct channel *channel)
{
    if (channel->busy || channel->broken)
        return;
    channel->busy = true;
    while (receive_message(channel))
        continue;
    end_callback(channel);
}

static ssize_t
send_octets(const struct channel *channel, const unsigned char *octets, size_t size,
    const int *descriptors, size_t descriptor_count)
{
    union {
        struct cmsghdr align;
        char octets[CMSG_SPACE(sizeof(int) * FIELD_DESCRIPTORS_MAX)];
    } control;
    struct iovec part = {(void *)(uintptr_t)octets, size};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

    if (descriptor_count > 0) {
        memset(&control, 0, sizeof(control));
        header.msg_control = &control;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * descriptor_count);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(sizeof(int) * descriptor_count);
        memcpy(CMSG_DATA(&control.align), descriptors, sizeof(int) * descriptor_count);
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

static void
on_writable(evutil_socket_t descriptor, short what, void *context)
{
    struct channel *channel = context;
    struct pending *pending;

    (void)descriptor;
    (void)what;
    channel->busy = true;
    while (!channel->broken && (pending = STAILQ_FIRST(&channel->backlog)) != NULL) {
        if (send_octets(channel, pending->octets, pending->size, pending->descriptors,
                pending->descriptor_count) < 0) {
            if (!is_passing(errno))
                report_broken(channel, "");
            break;
        }
        STAILQ_REMOVE_HEAD(&channel->backlog, next);
        channel->backlog_count--;
        free_pending(pending);
    }
    if (!channel->closed && !channel->broken && STAILQ_EMPTY(&channel->backlog))
        event_del(channel->writable);
    end_callback(channel);
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
    STAILQ_INIT(&channel->backlog);
    channel->readable = event_new(base, descriptor, EV_READ | EV_PERSIST, on_readable, channel);
    channel->writable = event_new(base, descriptor, EV_WRITE | EV_PERSIST, on_writable, channel);
    if (channel->readable == NULL || channel->writable == NULL ||
        event_add(channel->readable, NULL) != 0)
        fatal(EXIT_FAILURE, "no event for the pipe to %s", role_name(peer));
    return channel;
}

/* Keeps what the pipe did not take, with descriptors of its own. */
static void
keep(struct channel *channel, const struct field_output *output)
{
    struct pending *pending = memory_new(1, sizeof(*pending) + output->used);

    pending->size = output->used;
    memcpy(pending->octets, output->octets, output->used);
    for (size_t i = 0; i < output->descriptor_count; i++) {
        int copy = fcntl(output->descriptors[i], F_DUPFD_CLOEXEC, 0);

        if (copy < 0)
            fatal(EXIT_FAILURE, "out of descriptors for the pipe to %s: %s",
                role_name(channel->peer), strerror(errno));
        pending->descriptors[pending->descriptor_count++] = copy;
    }
    STAILQ_INSERT_TAIL(&channel->backlog, pending, next);
    if (channel->backlog_count++ == 0)
        event_add(channel->writable, NULL);
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
    if (channel->backlog_count > 0 || (send_octets(channel, output.octets, output.used,
                                           output.descriptors, output.descriptor_count) < 0 &&
                                          is_passing(errno)))
        keep(channel, &output);
    return true;
}

size_t
channel_backlog(const struct channel *channel)
{
    return channel->backlog_count;
}

void
channel_pause(struct channel *channel)
{
    if (!channel->broken)
        event_del(channel->readable);
}

void
channel_resume(struct channel *channel)
{
    if (!channel->broken)
        event_add(channel->readable, NULL);
}

void
channel_close(struct channel *channel)
{
    if (channel == NULL || channel->closed)
        return;
    channel->closed = true;
    stop(channel);
    if (!channel->busy)
        free_channel(channel);
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
