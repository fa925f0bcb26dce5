#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <openssl/ssl.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "smtp/session_options.h"

/* Only these: libcurl would try Kerberos and NTLM first where a server offers them. */
static const char *const LOGINS[] = {
    [AUTH_AUTO] = "AUTH=CRAM-MD5;AUTH=PLAIN;AUTH=LOGIN",
    [AUTH_PLAIN] = "AUTH=PLAIN",
    [AUTH_LOGIN] = "AUTH=LOGIN",
    [AUTH_CRAM_MD5] = "AUTH=CRAM-MD5",
    [AUTH_OAUTH] = "AUTH=OAUTHBEARER;AUTH=XOAUTH2",
    [AUTH_XOAUTH2] = "AUTH=XOAUTH2",
    [AUTH_OAUTHBEARER] = "AUTH=OAUTHBEARER",
};
#define LOGINS_THAT_HIDE_THE_PASSWORD "AUTH=CRAM-MD5"

/* OpenSSL's own minimum is 1.2 on most systems, and its ciphers fit that. */
static void
set_minimum(SSL_CTX *tls, enum tls_minimum minimum)
{
    if (minimum >= TLS_MINIMUM_1_2)
        return;
    SSL_CTX_set_security_level(tls, 0);
    SSL_CTX_set_min_proto_version(tls, minimum == TLS_MINIMUM_1_0 ? TLS1_VERSION : TLS1_1_VERSION);
}

/* Before libcurl begins a handshake: its authorities are those that the parent loaded. */
static CURLcode
take_tls_context(CURL *easy, void *tls, void *context)
{
    struct session_hooks *hooks = context;

    (void)easy;
    SSL_CTX_set1_cert_store(tls, hooks->settings->authorities);
    set_minimum(tls, hooks->settings->tls_minimum);
    if (hooks->settings->fingerprints->count > 0)
        fingerprint_require(tls, &hooks->fingerprint);
    return CURLE_OK;
}

static void
print_address(const struct sockaddr *address, char text[static ROUTE_ADDRESS_SIZE])
{
    const void *octets = &((const struct sockaddr_in *)(const void *)address)->sin_addr;

    if (address->sa_family == AF_INET6)
        octets = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (inet_ntop(address->sa_family, octets, text, ROUTE_ADDRESS_SIZE) == NULL)
        text[0] = '\0';
}

/* libcurl goes on with the next address where this gives no socket. */
static curl_socket_t
open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct session_hooks *hooks = context;
    char text[ROUTE_ADDRESS_SIZE];

    (void)purpose;
    print_address(&address->addr, text);
    if (route_avoids(hooks->settings->avoided, text))
        return CURL_SOCKET_BAD;
    hooks->sockets++;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static void
check(CURLcode code, const char *what)
{
    if (code != CURLE_OK)
        fatal(EX_SOFTWARE, "libcurl takes no %s: %s", what, curl_easy_strerror(code));
}

#define SET(option, value) check(curl_easy_setopt(easy, CURLOPT_##option, value), #option)

static void
set_relay(CURL *easy, const struct session_settings *settings)
{
    const char *scheme = settings->tls == TLS_SMTPS ? "smtps" : "smtp";
    bool numeric = strchr(settings->host, ':') != NULL;
    char *url = memory_format("%s://%s%s%s:%u/%s", scheme, numeric ? "[" : "", settings->host,
        numeric ? "]" : "", settings->port, settings->local_name);

    SET(URL, url);
    free(url);
    SET(CONNECT_ONLY, 1L);
    SET(PROTOCOLS_STR, "smtp,smtps");
    SET(PROXY, "");
    SET(NOSIGNAL, 1L);
    SET(TCP_NODELAY, 1L);
    SET(OPENSOCKETFUNCTION, open_socket);
    SET(CONNECTTIMEOUT_MS, (long)settings->connect_timeout);
    SET(SERVER_RESPONSE_TIMEOUT, (long)(settings->timeout / 1000 + 2));
}

static void
set_tls(CURL *easy, struct session_hooks *hooks)
{
    static const long MINIMUM[] = {[TLS_MINIMUM_1_0] = CURL_SSLVERSION_TLSv1_0,
        [TLS_MINIMUM_1_1] = CURL_SSLVERSION_TLSv1_1,
        [TLS_MINIMUM_1_2] = CURL_SSLVERSION_TLSv1_2,
        [TLS_MINIMUM_1_3] = CURL_SSLVERSION_TLSv1_3};
    const struct session_settings *settings = hooks->settings;

    hooks->fingerprint.wanted = settings->fingerprints;
    SET(USE_SSL, settings->tls == TLS_NONE ? (long)CURLUSESSL_NONE : (long)CURLUSESSL_ALL);
    SET(SSLVERSION, MINIMUM[settings->tls_minimum]);
    SET(SSL_VERIFYPEER, 1L);
    SET(SSL_VERIFYHOST, settings->fingerprints->count > 0 ? 0L : 2L);
    SET(CAINFO, NULL);
    SET(CAPATH, NULL);
    SET(SSL_SESSIONID_CACHE, 0L);
    SET(SSL_CTX_FUNCTION, take_tls_context);
    SET(SSL_CTX_DATA, hooks);
}

static void
set_login(CURL *easy, const struct session_settings *settings)
{
    bool hidden = settings->tls == TLS_NONE && !settings->plaintext_login;

    if (settings->user[0] == '\0')
        return;
    SET(USERNAME, settings->user);
    if (settings->auth >= AUTH_OAUTH)
        SET(XOAUTH2_BEARER, settings->password);
    else
        SET(PASSWORD, settings->password);
    SET(LOGIN_OPTIONS, hidden ? LOGINS_THAT_HIDE_THE_PASSWORD : LOGINS[settings->auth]);
}

void
session_set_options(CURL *easy, struct session_hooks *hooks)
{
    set_relay(easy, hooks->settings);
    SET(OPENSOCKETDATA, hooks);
    set_tls(easy, hooks);
    set_login(easy, hooks->settings);
}
