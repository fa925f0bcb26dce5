#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/notify.h"

#define WORDS_SIZE 128

static const char *const STATES[] = {
    [NOTIFY_READY] = "READY=1",
    [NOTIFY_RELOADING] = "RELOADING=1",
    [NOTIFY_STOPPING] = "STOPPING=1",
};

/* Fills ADDRESS with what NAME is: a path, or "@" and an abstract name. Returns its octets, 0 where
 * it is neither. */
static socklen_t
parse_address(const char *name, struct sockaddr_un *address)
{
    const size_t length = strlen(name);

    if ((name[0] != '/' && name[0] != '@') || length < 2 || length >= sizeof(address->sun_path))
        return 0;
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, name, length);
    if (name[0] == '@')
        address->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (name[0] == '/'));
}

/* A reload carries the time at which it began (Type=notify-reload). */
static size_t
format_words(char *words, enum notify_state state)
{
    struct timespec now;
    int length;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (state == NOTIFY_RELOADING)
        length = snprintf(words, WORDS_SIZE, "%s\nMONOTONIC_USEC=%" PRIu64, STATES[state],
            (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
    else
        length = snprintf(words, WORDS_SIZE, "%s", STATES[state]);
    return (size_t)length;
}

bool
notify_send(enum notify_state state, struct error *error)
{
    const char *name = getenv("NOTIFY_SOCKET");
    char words[WORDS_SIZE];
    struct sockaddr_un address;
    socklen_t size;
    ssize_t sent;
    int descriptor;

    if (name == NULL || name[0] == '\0')
        return true;
    size = parse_address(name, &address);
    if (size == 0)
        return error_set(error, "NOTIFY_SOCKET is no address: %s", name);
    descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return error_errno(error, "make a socket to notify the service manager");
    sent = sendto(descriptor, words, format_words(words, state), MSG_NOSIGNAL,
        (const struct sockaddr *)&address, size);
    if (sent < 0)
        error_errno(error, "notify the service manager at %s", name);
    close(descriptor);
    return sent >= 0;
}
