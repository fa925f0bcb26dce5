#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "lib/text.h"
#include "smtp/fingerprint.h"

#define DIGEST_SIZE ((FINGERPRINT_SIZE - 1) / 2)

static void
print_digest(const unsigned char *digest, char text[static FINGERPRINT_SIZE])
{
    static const char DIGITS[] = "0123456789abcdef";

    for (size_t i = 0; i < DIGEST_SIZE; i++) {
        text[2 * i] = DIGITS[digest[i] >> 4];
        text[2 * i + 1] = DIGITS[digest[i] & 15];
    }
    text[FINGERPRINT_SIZE - 1] = '\0';
}

static bool
digest_certificate(const X509 *certificate, char text[static FINGERPRINT_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    if (X509_digest(certificate, EVP_sha256(), digest, NULL) != 1)
        return false;
    print_digest(digest, text);
    return true;
}

/* Of the whole SubjectPublicKeyInfo, as RFC 7469 takes it. */
static bool
digest_key(const X509 *certificate, char text[static FINGERPRINT_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned char *der = NULL;
    int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    bool done;

    if (length <= 0)
        return false;
    done = EVP_Digest(der, (size_t)length, digest, NULL, EVP_sha256(), NULL) == 1;
    OPENSSL_free(der);
    if (done)
        print_digest(digest, text);
    return done;
}

static bool
is_wanted(const struct text_list *wanted, const char *fingerprint)
{
    char normal[FINGERPRINT_SIZE];

    for (size_t i = 0; i < wanted->count; i++) {
        if (fingerprint_normalize(wanted->texts[i], normal) && strcmp(normal, fingerprint) == 0)
            return true;
    }
    return false;
}

static int
verify(X509_STORE_CTX *chain, void *context)
{
    struct fingerprint_check *check = context;
    const X509 *certificate = X509_STORE_CTX_get0_cert(chain);

    check->certificate[0] = '\0';
    check->key[0] = '\0';
    if (certificate == NULL || !digest_certificate(certificate, check->certificate) ||
        !digest_key(certificate, check->key)) {
        X509_STORE_CTX_set_error(chain, X509_V_ERR_UNSPECIFIED);
        return 0;
    }
    if (!is_wanted(check->wanted, check->certificate) && !is_wanted(check->wanted, check->key)) {
        X509_STORE_CTX_set_error(chain, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    check->certificate[0] = '\0';
    X509_STORE_CTX_set_error(chain, X509_V_OK);
    return 1;
}

void
fingerprint_require(SSL_CTX *context, struct fingerprint_check *check)
{
    SSL_CTX_set_cert_verify_callback(context, verify, check);
}

const char *
fingerprint_explain(const struct fingerprint_check *check, char *text, size_t size)
{
    if (check->certificate[0] != '\0')
        text_format(text, size,
            "tls_fingerprint does not name the relay's certificate, whose SHA-256 is %s, and that "
            "of its key %s",
            check->certificate, check->key);
    return text;
}
