#include "master/account_check.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lib/fingerprint.h"
#include "lib/memory.h"

static bool
title_is_valid(const char *title)
{
    static const struct value_range NO_LIMITS = {0};
    char *address = NULL;
    struct error error;
    if (strcmp(title, "default") == 0)
        return true;
    char *whole = memory_format("%s%s", title[0] == '@' ? "anybody" : "", title);
    bool valid = value_parse(VALUE_ADDRESS, &NO_LIMITS, whole, &address, &error) &&
                 whole[0] != '\0' && (title[0] != '@' || strchr(title + 1, '@') == NULL);
    value_free(VALUE_TEXT, &address);
    value_free(VALUE_TEXT, &whole);
    return valid;
}

bool
account_check_title(
    const struct configuration *configuration, const char *title, struct error *error)
{
    if (!title_is_valid(title))
        return error_set(error,
            "account \"%s\": expected an address such as foo@example.com, @example.com for all of "
            "a domain, or default",
            title);
    for (size_t i = 0; i < configuration->account_count; i++)
        if (strcasecmp(configuration->accounts[i].address, title) == 0)
            return error_set(error, "account %s is there twice", title);
    return true;
}

static bool
login_check(const struct account_settings *account, struct error *error)
{
    int secrets = account->password + (account->password_file[0] != '\0') +
                  (account->token_command.count > 0);
    if (secrets > 1)
        return error_set(error,
            "has more than one of password, password_file and token_command: expected one of them");
    if (account->user[0] != '\0' && secrets == 0)
        return error_set(
            error, "has a user and no password: expected password_file, password or token_command");
    if (account->user[0] == '\0' && secrets > 0)
        return error_set(error, "has a %s and no user: expected user",
            account->token_command.count > 0 ? "token_command" : "password");
    if (account->user[0] != '\0' && account->tls == TLS_NONE && !account->plaintext_login)
        return error_set(error,
            "has tls = none, so its password or token would go unencrypted: expected another tls, "
            "or plaintext_login = yes");
    return true;
}

static bool
token_command_check(const struct account_settings *account, struct error *error)
{
    const char *program = account->token_command.texts[0];
    if (program[0] != '/')
        return error_set(error,
            "token_command: expected the absolute path of a program and its arguments, as { "
            "/usr/local/bin/token, %s }, not \"%s\"",
            account->user, program);
    return access(program, X_OK) == 0 || error_errno(error, "token_command %s", program);
}

/* A token goes by other ways than a password does; from here on, auth alone tells which it is. */
static bool
auth_check(struct account_settings *account, struct error *error)
{
    bool by_token = account->auth >= AUTH_OAUTH;
    if (account->token_command.count == 0)
        return !by_token ||
               error_set(error, "has an auth that takes a token: expected token_command");
    if (account->auth == AUTH_AUTO)
        account->auth = AUTH_OAUTH;
    else if (!by_token)
        return error_set(error,
            "has token_command and an auth that takes a password: expected auto, oauth, xoauth2 or "
            "oauthbearer");
    return token_command_check(account, error);
}

static bool
notify_check(const struct account_settings *account, struct error *error)
{
    const char *notify = account->notify;
    if (strcmp(notify, "sender") == 0 || strcmp(notify, "none") == 0 ||
        (strchr(notify, '@') != NULL && strpbrk(notify, " <>,;\"") == NULL))
        return true;
    return error_set(
        error, "notify: \"%s\" is not understood: expected sender, an address, or none", notify);
}

static bool
tls_check(const struct account_settings *account, struct error *error)
{
    char normal[FINGERPRINT_SIZE];
    for (size_t i = 0; i < account->tls_fingerprint.count; i++)
        if (!fingerprint_normalize(account->tls_fingerprint.texts[i], normal))
            return error_set(error,
                "tls_fingerprint: \"%s\" is no SHA-256 fingerprint: expected 64 hexadecimal "
                "digits, with or without colons",
                account->tls_fingerprint.texts[i]);
    if (account->tls_fingerprint.count > 0 && account->tls == TLS_NONE)
        return error_set(error, "has tls_fingerprint and tls = none: expected another tls");
    return true;
}

bool
account_complete(struct account_settings *account, struct error *error)
{
    static const uint16_t PORTS[] = {[TLS_STARTTLS] = 587, [TLS_SMTPS] = 465, [TLS_NONE] = 25};
    bool complete = login_check(account, error) && auth_check(account, error) &&
                    tls_check(account, error) && notify_check(account, error);
    if (complete && account->sids.count == 0)
        complete = error_set(error, "sids is empty: expected the bases that may send from it");
    if (complete && account->ca_file[0] != '\0' && access(account->ca_file, R_OK) != 0)
        complete = error_errno(error, "ca_file %s", account->ca_file);
    if (account->relay.port == 0)
        account->relay.port = PORTS[account->tls];
    if (account->fallback_relay.host != NULL && account->fallback_relay.host[0] != '\0' &&
        account->fallback_relay.port == 0)
        account->fallback_relay.port = PORTS[account->tls];
    return complete || error_prefix(error, "account %s", account->address);
}
