#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <curl/curl.h>
#include <openssl/ssl.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "smtp/session_options.h"

/* Only these logins: libcurl would try Kerberos and NTLM first where a server offers them. */
#define LOGINS "AUTH=CRAM-MD5;AUTH=PLAIN;AUTH=LOGIN"
#define LOGINS_THAT_HIDE_THE_PASSWORD "AUTH=CRAM-MD5"

/* Before libcurl begins a handshake: its authorities are those that the parent loaded. */
static CURLcode
take_tls_context(CURL *easy, void *tls, void *context)
{
    (void)easy;
    SSL_CTX_set1_cert_store(tls, context);
    return CURLE_OK;
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
    SET(CONNECTTIMEOUT_MS, (long)settings->connect_timeout);
    SET(SERVER_RESPONSE_TIMEOUT, (long)(settings->timeout / 1000 + 2));
}

static void
set_tls(CURL *easy, const struct session_settings *settings)
{
    SET(USE_SSL, settings->tls == TLS_NONE ? (long)CURLUSESSL_NONE : (long)CURLUSESSL_ALL);
    SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(SSL_VERIFYPEER, 1L);
    SET(SSL_VERIFYHOST, 2L);
    SET(CAINFO, NULL);
    SET(CAPATH, NULL);
    SET(SSL_SESSIONID_CACHE, 0L);
    SET(SSL_CTX_FUNCTION, take_tls_context);
    SET(SSL_CTX_DATA, settings->authorities);
}

static void
set_login(CURL *easy, const struct session_settings *settings)
{
    bool hidden = settings->tls == TLS_NONE && !settings->plaintext_login;

    if (settings->user[0] == '\0')
        return;
    SET(USERNAME, settings->user);
    SET(PASSWORD, settings->password);
    SET(LOGIN_OPTIONS, hidden ? LOGINS_THAT_HIDE_THE_PASSWORD : LOGINS);
}

void
session_set_options(CURL *easy, const struct session_settings *settings)
{
    set_relay(easy, settings);
    set_tls(easy, settings);
    set_login(easy, settings);
}
