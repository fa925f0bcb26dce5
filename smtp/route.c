#include <string.h>

#include <bsd/string.h>

#include "smtp/route.h"

/* A certificate that is wrong at one address may be right at another; but the fallback is for a
 * relay that is not there, not for one that is not what it should be. */
static const struct {
    bool other_address;
    bool fallback;
} STAGES[STAGE_COUNT] = {
    [STAGE_CONNECT] = {true, true},
    [STAGE_TLS] = {true, false},
    [STAGE_GREETING] = {true, true},
    [STAGE_EHLO] = {true, true},
};

void
route_begin(struct route *route, const struct account_settings *account)
{
    memset(route, 0, sizeof(*route));
    route->account = account;
}

const struct relay *
route_relay(const struct route *route)
{
    return route->at_fallback ? &route->account->fallback_relay : &route->account->relay;
}

static bool
has_fallback(const struct route *route)
{
    const char *host = route->account->fallback_relay.host;

    return !route->at_fallback && host != NULL && host[0] != '\0';
}

bool
route_next(struct route *route, enum stage stage, const char *address)
{
    struct route_avoided *avoided = &route->avoided;

    if ((unsigned)stage >= STAGE_COUNT)
        return false;
    if (STAGES[stage].other_address && address[0] != '\0' && avoided->count < ROUTE_ADDRESSES &&
        !route_avoids(avoided, address)) {
        strlcpy(avoided->addresses[avoided->count++], address, ROUTE_ADDRESS_SIZE);
        return true;
    }
    if (!STAGES[stage].fallback || !has_fallback(route))
        return false;
    route->at_fallback = true;
    avoided->count = 0;
    return true;
}

bool
route_avoids(const struct route_avoided *avoided, const char *address)
{
    for (size_t i = 0; i < avoided->count; i++) {
        if (strcmp(avoided->addresses[i], address) == 0)
            return true;
    }
    return false;
}
