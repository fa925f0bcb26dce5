#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <bsd/string.h>

#include "lib/text.h"
#include "smtp/command.h"

#define ADDRESS_LENGTH_MAX 1000

bool
address_is_safe(const char *address)
{
    const unsigned char *octets = (const unsigned char *)address;
    bool quoted = false;

    for (; *octets != '\0'; octets++) {
        if (*octets < 0x20 || *octets == 0x7F)
            return false;
        if (quoted && *octets == '\\') {
            octets++;
            if (*octets < 0x20 || *octets == 0x7F)
                return false;
        } else if (*octets == '"') {
            quoted = !quoted;
        } else if (!quoted && strchr(" <>", *octets) != NULL) {
            return false;
        }
    }
    return !quoted && octets - (const unsigned char *)address <= ADDRESS_LENGTH_MAX;
}

bool
address_is_international(const char *address)
{
    for (const unsigned char *octets = (const unsigned char *)address; *octets != '\0'; octets++) {
        if (*octets >= 0x80)
            return true;
    }
    return false;
}

/* A parameter's value is printable ASCII (RFC 5321, esmtp-value). */
static bool
is_value(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= 0x20 || *text >= 0x7F)
            return false;
    }
    return true;
}

/* Adds " NAME=VALUE", where there is a value; false where that is none. */
static bool
add_parameter(char *target, const char *name, const char *value)
{
    if (value == NULL)
        return true;
    if (!is_value(value))
        return false;
    strlcat(target, name, COMMAND_SIZE_MAX);
    return strlcat(target, value, COMMAND_SIZE_MAX) < COMMAND_SIZE_MAX;
}

static size_t
end_command(char *target)
{
    size_t length = strlcat(target, "\r\n", COMMAND_SIZE_MAX);

    return length < COMMAND_SIZE_MAX ? length : 0;
}

static bool
add_time(
    char *target, const struct mail_parameters *parameters, const struct capabilities *capabilities)
{
    size_t length = strlen(target);

    return !capabilities->deliver_by || parameters->by_mode == '\0' ||
           text_format(target + length, COMMAND_SIZE_MAX - length, " BY=%" PRId64 ";%c%s",
               parameters->by_time, parameters->by_mode, parameters->by_trace ? "T" : "");
}

size_t
command_mail(char target[static COMMAND_SIZE_MAX], const char *sender,
    const struct mail_parameters *parameters, const struct capabilities *capabilities)
{
    char size[32];

    if (!address_is_safe(sender) ||
        !text_format(target, COMMAND_SIZE_MAX, "MAIL FROM:<%s>", sender))
        return 0;
    text_format(size, sizeof(size), " SIZE=%" PRIu64, parameters->size);
    if (capabilities->size)
        strlcat(target, size, COMMAND_SIZE_MAX);
    if (parameters->eight_bit && capabilities->eight_bit)
        strlcat(target, " BODY=8BITMIME", COMMAND_SIZE_MAX);
    if (parameters->smtputf8 && capabilities->smtputf8)
        strlcat(target, " SMTPUTF8", COMMAND_SIZE_MAX);
    if (capabilities->login && !add_parameter(target, " AUTH=", parameters->auth))
        return 0;
    if (!add_time(target, parameters, capabilities))
        return 0;
    if (capabilities->dsn && (!add_parameter(target, " RET=", parameters->return_part) ||
                                 !add_parameter(target, " ENVID=", parameters->envelope_id)))
        return 0;
    return end_command(target);
}

size_t
command_rcpt(char target[static COMMAND_SIZE_MAX], const char *recipient,
    const struct recipient_parameters *parameters, const struct capabilities *capabilities)
{
    if (recipient[0] == '\0' || !address_is_safe(recipient))
        return 0;
    if (!text_format(target, COMMAND_SIZE_MAX, "RCPT TO:<%s>", recipient))
        return 0;
    if (capabilities->dsn && (!add_parameter(target, " NOTIFY=", parameters->notify) ||
                                 !add_parameter(target, " ORCPT=", parameters->original)))
        return 0;
    return end_command(target);
}
