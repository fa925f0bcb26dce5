#include <sysexits.h>

#include <curl/curl.h>
#include <openssl/err.h>

#include "lib/log.h"
#include "smtp/authority.h"

/* The system's file, as libcurl was built to know it. */
static const char *
system_file(CURL *easy)
{
    char *path = NULL;

    if (easy == NULL || curl_easy_getinfo(easy, CURLINFO_CAINFO, &path) != CURLE_OK)
        return NULL;
    return path;
}

X509_STORE *
authority_load(const char *path, struct error *error)
{
    X509_STORE *store = X509_STORE_new();
    CURL *easy = curl_easy_init();
    const char *file = path[0] != '\0' ? path : system_file(easy);

    if (store == NULL)
        fatal(EX_OSERR, "out of memory for certificates");
    error->text[0] = '\0';
    /* As libcurl sets them: a relay may be trusted by an authority in the middle of its chain. */
    X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
    if (file == NULL || X509_STORE_load_file(store, file) != 1)
        error_set(error, "no certificate authorities can be read from %s: %s",
            file != NULL ? file : "the system", ERR_reason_error_string(ERR_peek_last_error()));
    ERR_clear_error();
    curl_easy_cleanup(easy);
    return store;
}
