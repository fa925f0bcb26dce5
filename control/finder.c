#include "control/finder.h"
#include "lib/service.h"

uint32_t
finder_count(void)
{
    const struct configuration *configuration = service_configuration();
    uint32_t count = 1;

    for (size_t i = 0; i < configuration->queue_count; i++)
        count += configuration->queues[i].kind == SECTION_SQL;
    return count;
}

struct channel *
finder_channel(uint32_t finder)
{
    return finder == 0 ? service_peer(ROLE_PICKUP, 0) : service_peer(ROLE_SQL, finder - 1);
}

uint32_t
finder_of(const struct channel *channel)
{
    return channel_peer(channel) == ROLE_SQL ? channel_instance(channel) + 1 : 0;
}

bool
finder_all_are_there(void)
{
    for (uint32_t i = 0; i < finder_count(); i++) {
        if (finder_channel(i) == NULL)
            return false;
    }
    return true;
}

void
finder_send_all(const struct message *message)
{
    for (uint32_t i = 0; i < finder_count(); i++)
        service_send(finder_channel(i), message);
}
