#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <bsd/string.h>
#include <curl/curl.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/text.h"
#include "smtp/session_parts.h"

static void
start_timer(struct event *timer, int64_t milliseconds)
{
    struct timeval interval = {milliseconds / 1000, (milliseconds % 1000) * 1000};

    if (evtimer_add(timer, &interval) != 0)
        fatal(EX_OSERR, "a timer cannot be started");
}

static void
on_readable(evutil_socket_t descriptor, short what, void *context)
{
    struct session *session = context;

    (void)descriptor;
    (void)what;
    session->events->readable(session->context);
}

static void
on_writable(evutil_socket_t descriptor, short what, void *context)
{
    struct session *session = context;

    (void)descriptor;
    (void)what;
    session->events->writable(session->context);
}

static struct event *
new_event(
    struct session *session, evutil_socket_t descriptor, short what, event_callback_fn callback)
{
    struct event *event = event_new(session->base, descriptor, what, callback, session);

    if (event == NULL)
        fatal(EX_OSERR, "no memory for an event");
    return event;
}

/* libcurl calls it a success where a server offers no login, or only HELO: it is none for an
 * account that has a user. */
static void
finish_connecting(struct session *session, CURLcode code)
{
    const struct reply *reply = dialogue_reply(&session->dialogue);
    curl_socket_t socket = CURL_SOCKET_BAD;

    if (code != CURLE_OK) {
        session_fail_by_code(session, code);
        return;
    }
    if (session->settings->user[0] != '\0' && (reply == NULL || reply->code != 235)) {
        session_fail(session, STAGE_LOGIN, NULL, "the relay offers no login");
        return;
    }
    curl_easy_setopt(session->easy, CURLOPT_VERBOSE, 0L);
    if (curl_easy_getinfo(session->easy, CURLINFO_ACTIVESOCKET, &socket) != CURLE_OK ||
        socket == CURL_SOCKET_BAD) {
        session_fail(session, session->dialogue.stage, NULL, "");
        return;
    }
    session->over = true;
    session->readable = new_event(session, socket, EV_READ | EV_PERSIST, on_readable);
    session->writable = new_event(session, socket, EV_WRITE, on_writable);
    event_add(session->readable, NULL);
    session->events->connected(session->context);
}

/* The limit begins anew with everything that is said. */
static void
renew_limit(struct session *session)
{
    curl_off_t connect_time = 0;

    if (!session->tcp_connected) {
        curl_easy_getinfo(session->easy, CURLINFO_CONNECT_TIME_T, &connect_time);
        session->tcp_connected = connect_time > 0;
        if (!session->tcp_connected)
            return;
        /* libcurl shares its limit out between the relay's addresses, so until now it was that of
         * the TCP connection; from here on this session's own limit counts. */
        curl_easy_setopt(session->easy, CURLOPT_CONNECTTIMEOUT_MS, 24L * 3600 * 1000);
        session->moved = true;
    }
    if (session->moved)
        start_timer(session->limit, session->settings->timeout);
    session->moved = false;
}

/* Lets libcurl work. The session may be gone when this returns. */
static void
drive(struct session *session, curl_socket_t socket, int what)
{
    int running;
    int left;
    CURLMsg *message;

    if (session->over)
        return;
    curl_multi_socket_action(session->multi, socket, what, &running);
    renew_limit(session);
    message = curl_multi_info_read(session->multi, &left);
    /* libcurl would wait for a reply that makes sense until its time is up. */
    if (message == NULL && !session->dialogue.broken)
        return;
    evtimer_del(session->limit);
    finish_connecting(session, message != NULL ? message->data.result : CURLE_WEIRD_SERVER_REPLY);
}

static void
on_curl_timer(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    drive(context, CURL_SOCKET_TIMEOUT, 0);
}

static void
on_curl_socket(evutil_socket_t descriptor, short what, void *context)
{
    struct session *session = context;
    int action = ((what & EV_READ) != 0 ? CURL_CSELECT_IN : 0) |
                 ((what & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0);

    if (session->over) /* and abandoned */
        event_del(event_base_get_running_event(session->base));
    else
        drive(session, descriptor, action);
}

static void
on_limit(evutil_socket_t descriptor, short what, void *context)
{
    struct session *session = context;
    enum stage stage = session->tcp_connected ? session->dialogue.stage : STAGE_CONNECT;
    char words[200];

    (void)descriptor;
    (void)what;
    if (session->settings->tls == TLS_SMTPS && stage == STAGE_GREETING) {
        curl_off_t handshake = 0;

        curl_easy_getinfo(session->easy, CURLINFO_APPCONNECT_TIME_T, &handshake);
        if (handshake == 0)
            stage = STAGE_TLS;
    }
    text_format(
        words, sizeof(words), "the relay did not answer in time while %s", stage_name(stage));
    session_fail(session, stage, NULL, words);
}

/* libcurl says when it wants to be called. */
static int
set_curl_timer(CURLM *multi, long milliseconds, void *context)
{
    struct session *session = context;

    (void)multi;
    if (milliseconds < 0)
        evtimer_del(session->curl_timer);
    else
        start_timer(session->curl_timer, milliseconds);
    return 0;
}

/* libcurl says what to watch. */
static int
watch_curl_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *watched)
{
    struct session *session = context;
    struct event *event = watched;
    short wanted = (short)(EV_PERSIST | ((what & CURL_POLL_IN) != 0 ? EV_READ : 0) |
                           ((what & CURL_POLL_OUT) != 0 ? EV_WRITE : 0));

    (void)easy;
    if (event != NULL)
        event_free(event);
    event = NULL;
    if (what != CURL_POLL_REMOVE) {
        event = new_event(session, socket, wanted, on_curl_socket);
        if (event_add(event, NULL) != 0)
            fatal(EX_OSERR, "no event for a connection");
    }
    curl_multi_assign(session->multi, socket, event);
    return 0;
}

static size_t
take_header(char *line, size_t size, size_t count, void *context)
{
    struct session *session = context;

    dialogue_heard(&session->dialogue, line, size * count);
    session->moved = true;
    return size * count;
}

/* The dialogue, as libcurl shows it: a line a call, with its end. */
static int
take_debug(CURL *easy, curl_infotype type, char *data, size_t length, void *context)
{
    struct session *session = context;
    const char *line = data;

    (void)easy;
    if (type != CURLINFO_HEADER_IN && type != CURLINFO_HEADER_OUT)
        return 0;
    while (length > 0 && (data[length - 1] == '\n' || data[length - 1] == '\r'))
        length--;
    if (type == CURLINFO_HEADER_OUT) {
        line = dialogue_said(&session->dialogue, data, &length);
        session->moved = true;
    }
    if (session->events->spoken != NULL)
        session->events->spoken(session->context, type == CURLINFO_HEADER_OUT, line, length);
    return 0;
}

static void
set_callbacks(struct session *session)
{
    CURL *easy = session->easy;
    CURLM *multi = session->multi;

    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, session->problem);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, session);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, take_debug);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, session);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_curl_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, session);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_curl_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, session);
}

struct session *
session_open(struct event_base *base, const struct session_settings *settings,
    const struct session_events *events, void *context)
{
    struct session *session = memory_new(1, sizeof(*session));

    session->base = base;
    session->settings = settings;
    session->events = events;
    session->context = context;
    session->multi = curl_multi_init();
    session->easy = curl_easy_init();
    if (session->multi == NULL || session->easy == NULL)
        fatal(EX_OSERR, "no memory for a session");
    session->curl_timer = new_event(session, -1, 0, on_curl_timer);
    session->limit = new_event(session, -1, 0, on_limit);
    dialogue_init(&session->dialogue);
    session->hooks.settings = settings;
    session_set_options(session->easy, &session->hooks);
    set_callbacks(session);
    start_timer(session->limit, settings->connect_timeout + settings->timeout);
    if (curl_multi_add_handle(session->multi, session->easy) != CURLM_OK)
        fatal(EX_OSERR, "libcurl takes no session");
    return session;
}

void
session_close(struct session *session)
{
    if (session == NULL)
        return;
    session->over = true;
    if (session->readable != NULL)
        event_free(session->readable);
    if (session->writable != NULL)
        event_free(session->writable);
    curl_multi_remove_handle(session->multi, session->easy);
    curl_easy_cleanup(session->easy);
    curl_multi_cleanup(session->multi);
    event_free(session->curl_timer);
    event_free(session->limit);
    free(session);
}

void
session_abandon(struct session *session)
{
    curl_off_t found = 0;

    if (session == NULL)
        return;
    curl_easy_getinfo(session->easy, CURLINFO_NAMELOOKUP_TIME_T, &found);
    if (session->tcp_connected || found > 0)
        session_close(session);
}

const char *
session_address(const struct session *session)
{
    char *address = NULL;

    if (!session->tcp_connected ||
        curl_easy_getinfo(session->easy, CURLINFO_PRIMARY_IP, &address) != CURLE_OK ||
        address == NULL)
        return "";
    return address;
}

bool
session_was_tried(const struct session *session)
{
    return session->hooks.sockets > 0;
}

const struct capabilities *
session_capabilities(const struct session *session)
{
    return &session->dialogue.capabilities;
}

bool
session_encrypted(const struct session *session)
{
    return session->settings->tls != TLS_NONE;
}

enum session_progress
session_send(struct session *session, const char *octets, size_t length, size_t *sent)
{
    CURLcode code = curl_easy_send(session->easy, octets, length, sent);

    if (code == CURLE_OK)
        return SESSION_DONE;
    *sent = 0;
    if (code != CURLE_AGAIN)
        return SESSION_BROKEN;
    event_add(session->writable, NULL);
    return SESSION_AGAIN;
}

enum session_progress
session_receive(struct session *session, char *octets, size_t size, size_t *received)
{
    CURLcode code = curl_easy_recv(session->easy, octets, size, received);

    if (code == CURLE_OK)
        return *received > 0 ? SESSION_DONE : SESSION_ENDED;
    *received = 0;
    return code == CURLE_AGAIN ? SESSION_AGAIN : SESSION_BROKEN;
}

const char *
session_relay(struct session *session)
{
    const struct session_settings *settings = session->settings;
    char *address = NULL;

    curl_easy_getinfo(session->easy, CURLINFO_PRIMARY_IP, &address);
    if (address == NULL || address[0] == '\0')
        text_format(
            session->relay, sizeof(session->relay), "%s:%u", settings->host, settings->port);
    else
        text_format(session->relay, sizeof(session->relay), "%s[%s]:%u", settings->host, address,
            settings->port);
    return session->relay;
}
