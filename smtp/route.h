/*
 * Where a worker connects to: its account's relay and then the fallback, each at one address after
 * the other.
 */
#ifndef SMAILER_SMTP_ROUTE_H
#define SMAILER_SMTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/configuration.h"
#include "lib/outcome.h"

/* So many addresses of a relay are tried after each other; libcurl itself tries as many as there
 * are where no TCP connection comes to be. */
#define ROUTE_ADDRESSES 8
#define ROUTE_ADDRESS_SIZE 64

/* Addresses that are not connected to any more, as text. */
struct route_avoided {
    char addresses[ROUTE_ADDRESSES][ROUTE_ADDRESS_SIZE];
    size_t count;
};

struct route {
    const struct account_settings *account;
    bool at_fallback;
    struct route_avoided avoided; /* of the relay that is tried now */
};

/* From the beginning: the relay, at any address. */
void route_begin(struct route *route, const struct account_settings *account);

const struct relay *route_relay(const struct route *route);

/* A connection failed at STAGE, to ADDRESS ("": to none, all were tried). True where the route goes
 * on elsewhere: another server may do better, unless it was the account that was refused. */
bool route_next(struct route *route, enum stage stage, const char *address);

bool route_avoids(const struct route_avoided *avoided, const char *address);

#endif
