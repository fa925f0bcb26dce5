#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "control/client.h"
#include "control/kinds.h"
#include "control/mqueue.h"
#include "control/permission.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"

/* Strangers have places of their own, so that they cannot keep those out who may ask. */
#define CLIENTS_MAX 64
#define STRANGERS_MAX 32
#define PER_USER_MAX 32
#define PER_STRANGER_MAX 4

/* How long a client may be there without awaiting an answer. */
#define IDLE_MS 30000

/* Answers that a client may leave unread when it asks again. */
#define UNREAD_MAX 8

struct client {
    LIST_ENTRY(client) next;
    struct channel *channel;
    struct event *timer; /* NULL: it may stay as long as it likes */
    uid_t uid;
    bool may_ask;
};

static struct {
    LIST_HEAD(, client) all;
    int listener;
    int trusted;
    struct event *acceptable;
    uint32_t last_instance;
    bool serving;
    bool draining;
} clients = {.listener = -1, .trusted = -1};

static const struct request_kind *const KINDS[] = {
    &LISTING_KIND,
    &RUN_KIND,
    &TRIAL_KIND,
    &STATUS_KIND,
    &JOBS_KIND,
    &MQUEUE_RUN_KIND,
    &SUBMIT_KIND,
    &INIT_KIND,
};

static void
on_idle(evutil_socket_t descriptor, short what, void *context)
{
    struct client *client = context;
    struct channel *channel = client->channel;

    (void)descriptor;
    (void)what;
    if (request_of(channel) != NULL) {
        service_timer_start(client->timer, IDLE_MS);
        return;
    }
    client_left(channel);
    service_dismiss(channel);
}

static struct client *
add_client(int descriptor, uid_t uid, bool may_ask)
{
    struct client *client = memory_new(1, sizeof(*client));

    client->uid = uid;
    client->may_ask = may_ask;
    client->channel = service_adopt(descriptor, ROLE_CLIENT, ++clients.last_instance);
    channel_set_context(client->channel, client);
    LIST_INSERT_HEAD(&clients.all, client, next);
    return client;
}

static void
answer(struct channel *channel, int status, const char *words)
{
    service_send(channel,
        &(struct message){MESSAGE_ANSWER, .answer = {.status = (uint32_t)status, .words = words}});
}

/* True where somebody of UID may come in beside those who are here. */
static bool
is_room(uid_t uid, bool may_ask)
{
    size_t of_user = 0;
    size_t strangers = 0;
    const struct client *client;

    LIST_FOREACH(client, &clients.all, next)
    {
        of_user += client->uid == uid;
        strangers += !client->may_ask;
    }
    if (may_ask)
        return of_user < PER_USER_MAX;
    return of_user < PER_STRANGER_MAX && strangers < STRANGERS_MAX;
}

static size_t
count_clients(void)
{
    size_t count = 0;
    const struct client *client;

    LIST_FOREACH(client, &clients.all, next)
    count++;
    return count;
}

/* A socket that is closed with something unread loses what the other side has not read yet. */
static void
discard_input(int descriptor)
{
    char octets[1];

    if (shutdown(descriptor, SHUT_RD) != 0)
        return;
    while (recv(descriptor, octets, sizeof(octets), MSG_DONTWAIT) > 0)
        continue;
}

static void
welcome(int descriptor)
{
    struct ucred credentials;
    socklen_t size = sizeof(credentials);
    struct client *client;
    bool may_ask;
    bool room;

    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
        log_warn("a client of the control socket cannot be identified: %s", strerror(errno));
        close(descriptor);
        return;
    }
    may_ask = permission_has(credentials.uid);
    room = is_room(credentials.uid, may_ask);
    client = add_client(descriptor, credentials.uid, may_ask);
    client->timer = service_timer(on_idle, client);
    service_timer_start(client->timer, IDLE_MS);
    if (room)
        return;
    answer(client->channel, EX_TEMPFAIL,
        "you have too many connections to smailer: wait until others of yours are answered");
    discard_input(descriptor);
    on_idle(-1, 0, client);
}

/* Accepts where there is room; the others wait in the socket's queue. */
static void
watch_listener(void)
{
    if (clients.acceptable == NULL)
        return;
    if (clients.draining || count_clients() >= CLIENTS_MAX)
        event_del(clients.acceptable);
    else
        event_add(clients.acceptable, NULL);
}

static void
on_acceptable(evutil_socket_t listener, short what, void *context)
{
    int descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    (void)what;
    (void)context;
    if (descriptor >= 0)
        welcome(descriptor);
    else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        log_warn("accept a client of the control socket: %s", strerror(errno));
    watch_listener();
}

void
client_listen(int listener, int trusted)
{
    clients.listener = listener;
    clients.trusted = trusted;
}

static void
serve_listener(void)
{
    int flags = fcntl(clients.listener, F_GETFL);

    if (flags < 0 || fcntl(clients.listener, F_SETFL, flags | O_NONBLOCK) != 0)
        fatal(EX_OSERR, "the control socket: %s", strerror(errno));
    clients.acceptable =
        event_new(service_base(), clients.listener, EV_READ | EV_PERSIST, on_acceptable, NULL);
    if (clients.acceptable == NULL)
        fatal(EX_OSERR, "no event for the control socket");
    watch_listener();
}

void
client_serve(void)
{
    if (clients.serving)
        return;
    clients.serving = true;
    if (clients.trusted >= 0)
        add_client(clients.trusted, geteuid(), true);
    if (clients.listener >= 0)
        serve_listener();
}

void
client_drain(void)
{
    clients.draining = true;
    watch_listener();
}

bool
client_is_trusted(const struct channel *client)
{
    return clients.trusted >= 0 && channel_descriptor(client) == clients.trusted;
}

/* A sentence why CHANNEL's question is not taken up, and the status in *STATUS; NULL: it is. */
static const char *
find_objection(const struct channel *channel, enum message_type asked, int *status)
{
    const struct client *client = channel_context(channel);

    *status = EX_NOPERM;
    if (!client->may_ask && asked != MESSAGE_SUBMIT)
        return "only root, the spool user and control_users of main.cf may ask this of smailer";
    *status = EX_TEMPFAIL;
    if (clients.draining)
        return "smailer takes on a new configuration just now, or ends: try again";
    *status = EX_PROTOCOL;
    if (request_of(channel) != NULL)
        return "one thing at a time: the last request is not answered yet";
    return NULL;
}

void
client_asked(struct channel *channel, const struct message *message)
{
    int status;
    const char *objection;

    /* One that asks and does not read is no client. */
    if (channel_backlog(channel) > UNREAD_MAX) {
        message_discard(message);
        client_left(channel);
        service_dismiss(channel);
        return;
    }
    objection = find_objection(channel, message->type, &status);
    if (objection != NULL) {
        message_discard(message);
        answer(channel, status, objection);
        return;
    }
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
        if (KINDS[i]->asked == message->type)
            request_begin(KINDS[i], channel, message);
    }
}

void
client_left(struct channel *channel)
{
    struct client *client = channel_context(channel);
    struct request *request = request_of(channel);

    if (request != NULL)
        request_cancel(request);
    LIST_REMOVE(client, next);
    if (client->timer != NULL)
        event_free(client->timer);
    free(client);
    watch_listener();
}
