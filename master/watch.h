/*
 * Bases that appear and disappear.
 */
#ifndef SMAILER_MASTER_WATCH_H
#define SMAILER_MASTER_WATCH_H

#include <event2/event.h>

#include "lib/configuration.h"

struct watch;

/* Calls CHANGED when other queues than CONFIGURATION's are there, or one of them is another
 * directory than now: soon after something happened in a root, and every scan_interval. It calls
 * again as long as it is so. */
struct watch *watch_new(struct event_base *base, const struct configuration *configuration,
    void (*changed)(void *context), void *context);

void watch_free(struct watch *watch);

#endif
