#include "pickup/cleanups.h"
#include "lib/service.h"

static struct {
    struct channel *channel; /* NULL: not there now */
    uint32_t room;
    uint32_t room_most; /* what it has when idle */
    uint32_t incarnation;
} cleanups[CLEANUPS_MAX];

void
cleanups_joined(struct channel *channel)
{
    uint32_t instance = channel_instance(channel);

    if (instance >= CLEANUPS_MAX)
        return;
    cleanups[instance].channel = channel;
    cleanups[instance].room = 0;
    cleanups[instance].room_most = 0;
    cleanups[instance].incarnation++;
}

void
cleanups_left(struct channel *channel)
{
    uint32_t instance = channel_instance(channel);

    if (instance >= CLEANUPS_MAX || cleanups[instance].channel != channel)
        return;
    cleanups[instance].channel = NULL;
    cleanups[instance].room = 0;
}

void
cleanups_handle_room(struct channel *from, const struct message *message)
{
    uint32_t instance = channel_instance(from);

    if (instance >= CLEANUPS_MAX || cleanups[instance].channel != from)
        return;
    cleanups[instance].room += message->parse_room.count;
    if (cleanups[instance].room > cleanups[instance].room_most)
        cleanups[instance].room_most = cleanups[instance].room;
}

bool
cleanups_choose(uint32_t *instance)
{
    uint32_t most = 0;

    for (uint32_t i = 0; i < cleanups_last() && i < CLEANUPS_MAX; i++) {
        if (cleanups[i].room <= most)
            continue;
        most = cleanups[i].room;
        *instance = i;
    }
    return most > 0;
}

uint32_t
cleanups_incarnation(uint32_t instance)
{
    return cleanups[instance].incarnation;
}

uint32_t
cleanups_last(void)
{
    return service_configuration()->programs[ROLE_CLEANUP].instances;
}

bool
cleanups_last_has_room(void)
{
    return cleanups_last() < CLEANUPS_MAX && cleanups[cleanups_last()].room > 0;
}

bool
cleanups_last_is_idle(void)
{
    return cleanups_last_has_room() &&
           cleanups[cleanups_last()].room == cleanups[cleanups_last()].room_most;
}

void
cleanups_parse(uint32_t instance, const struct message_parse *parse)
{
    cleanups[instance].room--;
    service_send(
        cleanups[instance].channel, &(struct message){.type = MESSAGE_PARSE, .parse = *parse});
}
