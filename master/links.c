#include <unistd.h>

#include "master/links.h"

bool
links_has(enum role a, enum role b)
{
    for (size_t i = 0; i < ROLE_LINK_COUNT; i++) {
        if ((ROLE_LINKS[i].a == a && ROLE_LINKS[i].b == b) ||
            (ROLE_LINKS[i].a == b && ROLE_LINKS[i].b == a))
            return true;
    }
    return false;
}

static void
send_peer(const struct process *to, const struct process *peer, int channel)
{
    process_send(
        to, &(struct message){MESSAGE_PEER,
                .peer = {.role = peer->role, .instance = peer->instance, .channel = channel}});
}

static bool
connect_two(const struct process *a, const struct process *b, struct error *error)
{
    int ends[2];

    if (!channel_pair(ends, error))
        return false;
    send_peer(a, b, ends[0]);
    send_peer(b, a, ends[1]);
    close(ends[0]);
    close(ends[1]);
    return true;
}

bool
links_connect(const struct process *processes, size_t count, const struct process *process,
    struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        const struct process *peer = &processes[i];

        if (peer->channel != NULL && links_has(process->role, peer->role) &&
            !connect_two(process, peer, error))
            return false;
    }
    return true;
}

void
links_tell_end(const struct process *processes, size_t count, const struct process *process,
    const struct process_end *end)
{
    for (size_t i = 0; i < count; i++) {
        const struct process *peer = &processes[i];

        if (links_has(process->role, peer->role))
            process_send(peer, &(struct message){MESSAGE_GONE, .gone = {.role = process->role,
                                                                   .instance = process->instance,
                                                                   .fault = end->fault,
                                                                   .reason = end->reason}});
    }
}
