#include <stdio.h>
#include <string.h>

#include <bsd/string.h>

#include "lib/log.h"
#include "lib/text.h"
#include "smtp/link.h"

static void connect_session(struct link *link);

static void
keep(struct link *link, const struct session_failure *failure)
{
    link->failure = *failure;
    strlcpy(link->words, failure->words, sizeof(link->words));
    link->failure.words = link->words;
    strlcpy(link->relay, session_relay(link->session), sizeof(link->relay));
    log_info("relay %s: %s", link->relay, link->words);
}

static void
on_connected(void *context)
{
    struct link *link = context;

    strlcpy(link->relay, session_relay(link->session), sizeof(link->relay));
    link->events->connected(NULL);
}

/* Another address, or the fallback, may do better. */
static void
on_failed(void *context, const struct session_failure *failure)
{
    struct link *link = context;
    bool exhausted = link->route.avoided.count > 0 && !session_was_tried(link->session);
    char address[ROUTE_ADDRESS_SIZE];

    if (!exhausted)
        keep(link, failure);
    strlcpy(address, exhausted ? "" : session_address(link->session), sizeof(address));
    session_abandon(link->session);
    link->session = NULL;
    if (route_next(&link->route, link->failure.stage, address))
        connect_session(link);
    else
        link->events->failed(NULL, &link->failure);
}

static void
on_readable(void *context)
{
    ((struct link *)context)->events->readable(NULL);
}

static void
on_writable(void *context)
{
    ((struct link *)context)->events->writable(NULL);
}

static void
on_spoken(void *context, bool by_us, const char *line, size_t length)
{
    ((struct link *)context)->events->spoken(NULL, by_us, line, length);
}

static void
connect_session(struct link *link)
{
    static const struct session_events EVENTS = {
        on_connected, on_failed, on_readable, on_writable, on_spoken};
    const struct relay *relay = route_relay(&link->route);

    link->settings.host = relay->host;
    link->settings.port = relay->port;
    link->session = session_open(link->base, &link->settings, &EVENTS, link);
}

void
link_init(struct link *link, struct event_base *base, const struct account_settings *account,
    X509_STORE *authorities, const char *local_name, const char *secret,
    const struct session_events *events)
{
    memset(link, 0, sizeof(*link));
    text_format(
        link->relay, sizeof(link->relay), "%s:%u", account->relay.host, account->relay.port);
    link->base = base;
    link->account = account;
    link->events = events;
    link->settings = (struct session_settings){.tls = (enum tls_mode)account->tls,
        .authorities = authorities,
        .tls_minimum = (enum tls_minimum)account->tls_minimum,
        .fingerprints = &account->tls_fingerprint,
        .avoided = &link->route.avoided,
        .user = account->user,
        .auth = (enum auth)account->auth,
        .password = secret,
        .plaintext_login = account->plaintext_login,
        .local_name = local_name,
        .connect_timeout = account->connect_timeout,
        .timeout = account->command_timeout};
}

void
link_open(struct link *link)
{
    route_begin(&link->route, link->account);
    connect_session(link);
}

void
link_close(struct link *link)
{
    session_close(link->session);
    link->session = NULL;
}
