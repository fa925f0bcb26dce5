#include <stdlib.h>
#include <unistd.h>

#include "lib/memory.h"
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

/* A pipe that is made, but nobody's yet. */
struct link {
    const struct process *peer;
    int ends[2]; /* the process's, the peer's */
};

static void
close_links(const struct link *links, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        close(links[i].ends[0]);
        close(links[i].ends[1]);
    }
}

/* All pipes of PROCESS into LINKS, *MADE of them, also where one cannot be made. */
static bool
make_links(const struct process *processes, size_t count, const struct process *process,
    struct link *links, size_t *made, struct error *error)
{
    *made = 0;
    for (size_t i = 0; i < count; i++) {
        const struct process *peer = &processes[i];

        if (peer->channel == NULL || !links_has(process->role, peer->role))
            continue;
        if (!channel_pair(links[*made].ends, error))
            return false;
        links[(*made)++].peer = peer;
    }
    return true;
}

bool
links_connect(
    const struct process *processes, size_t count, struct process *process, struct error *error)
{
    struct link *links = memory_new(count + 1, sizeof(*links));
    size_t made;

    process->linked = make_links(processes, count, process, links, &made, error);
    for (size_t i = 0; process->linked && i < made; i++) {
        send_peer(process, links[i].peer, links[i].ends[0]);
        send_peer(links[i].peer, process, links[i].ends[1]);
    }
    close_links(links, made);
    free(links);
    return process->linked;
}

void
links_tell_end(const struct process *processes, size_t count, const struct process *process,
    const struct process_end *end)
{
    for (size_t i = 0; process->linked && i < count; i++) {
        const struct process *peer = &processes[i];

        if (links_has(process->role, peer->role))
            process_send(peer, &(struct message){MESSAGE_GONE, .gone = {.role = process->role,
                                                                   .instance = process->instance,
                                                                   .fault = end->fault,
                                                                   .reason = end->reason}});
    }
}
