/*
 * Tells systemd how far the program is (sd_notify(3)), without its library.
 */
#ifndef SMAILER_NOTIFY_H
#define SMAILER_NOTIFY_H

#include <stdbool.h>

#include "lib/error.h"

enum notify_state { NOTIFY_READY, NOTIFY_RELOADING, NOTIFY_STOPPING };

/* Says STATE to the socket that $NOTIFY_SOCKET names; true also where nobody wants to know. Call it
 * where the environment is still the one that the service manager made. After NOTIFY_RELOADING,
 * NOTIFY_READY must follow. */
bool notify_send(enum notify_state state, struct error *error);

#endif
