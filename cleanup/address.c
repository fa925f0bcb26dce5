#include <arpa/inet.h>
#include <string.h>

#include <idn2.h>

#include "lib/error.h"
#include "lib/text.h"

#include "cleanup/address.h"

/* The raw text may be longer than the address, for what an international domain shrinks to. */
enum { RAW_MAX = 1024, LABEL_MAX = 63, SHOWN_SIZE = 128 };

static const char BLANKS[] = " \t\r\n";
static const char LETTERS_DIGITS[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
static const char ATOM_MARKS[] = "!#$%&'*+-/=?^_`{|}~";

/* Why characters that are often seen are not part of an address. */
static const struct {
    const char *characters;
    const char *reason;
} REASONS[] = {
    {"\r\n", "a line break in the address"},
    {" \t", "a blank in the address"},
    {"<>", "only the bare address is allowed, without a name and angle brackets"},
    {",;", "only one address is allowed"},
    {"()", "comments are not allowed"},
    {"@", "more than one @"},
};

/* Always false: says why the character at TEXT cannot be there. */
static bool
refuse_character(const char *text, size_t length, struct error *error)
{
    size_t count = text_character(text, length);
    char shown[SHOWN_SIZE];

    for (size_t i = 0; i < sizeof(REASONS) / sizeof(REASONS[0]); i++)
        if (strchr(REASONS[i].characters, *text) != NULL && *text != '\0')
            return error_set(error, "%s", REASONS[i].reason);
    if (count == 0 || text_is_control(text, count))
        return error_set(error, "a control character in the address");
    text_escape_bytes(shown, sizeof(shown), text, count);
    return error_set(error, "'%s' is not allowed there in an address", shown);
}

/* The octets of the atom at TEXT: atext of RFC 5322, section 3.2.3, and UTF-8. */
static size_t
atom_length(const char *text, size_t length)
{
    size_t at = 0;

    while (at < length) {
        size_t count = text_character(text + at, length - at);

        if (count == 1 && text[at] != '\0' &&
            (strchr(LETTERS_DIGITS, text[at]) != NULL || strchr(ATOM_MARKS, text[at]) != NULL))
            at++;
        else if (count > 1 && !text_is_control(text + at, count))
            at += count;
        else
            break;
    }
    return at;
}

/* Sets *END to where the dot-atom at TEXT ends. */
static bool
read_dot_atom(const char *text, size_t length, size_t *end, struct error *error)
{
    size_t at = 0;

    for (;;) {
        size_t count = atom_length(text + at, length - at);

        if (count == 0 && at < length && text[at] != '.' && text[at] != '@')
            return refuse_character(text + at, length - at, error);
        if (count == 0)
            return error_set(error, at == 0 && length > 0 && text[0] == '@'
                                        ? "nothing before the @"
                                        : "a dot too many before the @");
        at += count;
        if (at == length || text[at] != '.')
            break;
        at++;
    }
    *end = at;
    return true;
}

/* The same for a Quoted-string of RFC 5321, section 4.1.2: no control characters, no folding. */
static bool
read_quoted(const char *text, size_t length, size_t *end, struct error *error)
{
    size_t at = 1;

    while (at < length && text[at] != '"') {
        size_t count;

        if (text[at] == '\\' && at + 1 < length && text[at + 1] >= 0x20 && text[at + 1] < 0x7F)
            at++;
        count = text_character(text + at, length - at);
        if (count == 0 || text_is_control(text + at, count))
            return error_set(error, "a control character in the address");
        at += count;
    }
    if (at >= length)
        return error_set(error, "the quotation mark is not closed");
    *end = at + 1;
    return true;
}

static bool
check_label(const char *label, size_t length, struct error *error)
{
    if (length == 0)
        return error_set(error, "a dot too many in the domain");
    if (length > LABEL_MAX)
        return error_set(error, "a part of the domain has more than %d characters", LABEL_MAX);
    if (label[0] == '-' || label[length - 1] == '-')
        return error_set(error, "a part of the domain begins or ends with a hyphen");
    for (size_t i = 0; i < length; i++)
        if (label[i] != '-' && memchr(LETTERS_DIGITS, label[i], sizeof(LETTERS_DIGITS) - 1) == NULL)
            return refuse_character(label + i, length - i, error);
    return true;
}

static bool
check_domain(const char *domain, size_t length, struct error *error)
{
    size_t at = 0;

    if (length == 0)
        return error_set(error, "nothing after the @");
    if (length > ADDRESS_DOMAIN_MAX)
        return error_set(error, "the domain has more than %d characters", ADDRESS_DOMAIN_MAX);
    while (at <= length) {
        const char *dot = memchr(domain + at, '.', length - at);
        size_t end = dot != NULL ? (size_t)(dot - domain) : length;

        if (!check_label(domain + at, end - at, error))
            return false;
        at = end + 1;
    }
    return true;
}

/* RFC 5321, section 4.1.3: [192.0.2.1] or [IPv6:2001:db8::1]. */
static bool
check_literal(const char *literal, size_t length, struct error *error)
{
    static const char IPV6[] = "IPv6:";
    char host[INET6_ADDRSTRLEN + sizeof(IPV6)] = {0};
    unsigned char binary[sizeof(struct in6_addr)];
    const char *start = host;
    int family = AF_INET;

    if (length < 3 || length - 2 >= sizeof(host) || literal[length - 1] != ']')
        return error_set(error, "the address in brackets is not an IP address");
    memcpy(host, literal + 1, length - 2);
    if (strncasecmp(host, IPV6, sizeof(IPV6) - 1) == 0) {
        family = AF_INET6;
        start = host + sizeof(IPV6) - 1;
    }
    if (memchr(literal, '\0', length) != NULL || inet_pton(family, start, binary) != 1)
        return error_set(error, "the address in brackets is not an IP address");
    return true;
}

/* Puts the domain behind what ADDRESS holds, USED octets. */
static bool
append_domain(
    struct address *address, size_t used, const char *domain, size_t length, struct error *error)
{
    if (used + length > ADDRESS_MAX)
        return error_set(error, "the address has more than %d characters", ADDRESS_MAX);
    memcpy(address->text + used, domain, length);
    address->text[used + length] = '\0';
    return true;
}

/* What is ASCII in an international domain needs no library to be refused. */
static bool
check_ascii_part(const char *domain, size_t length, struct error *error)
{
    for (size_t i = 0; i < length; i++)
        if ((domain[i] & 0x80) == 0 && domain[i] != '-' && domain[i] != '.' &&
            memchr(LETTERS_DIGITS, domain[i], sizeof(LETTERS_DIGITS) - 1) == NULL)
            return refuse_character(domain + i, length - i, error);
    return text_is_utf8(domain, length) || error_set(error, "the domain is not in UTF-8");
}

static bool
read_international(
    struct address *address, size_t used, const char *domain, size_t length, struct error *error)
{
    char text[RAW_MAX + 1] = {0};
    char *ascii = NULL;
    int code;
    bool good;

    if (!check_ascii_part(domain, length, error))
        return false;
    memcpy(text, domain, length);
    /* IDN2_USE_STD3_ASCII_RULES is no help: libidn2 2.3.3 then drops what it should refuse, so that
     * a mail would go to another domain. check_domain refuses it. */
    code = idn2_to_ascii_8z(text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (code != IDN2_OK)
        return error_set(error, "not an international domain: %s", idn2_strerror(code));
    good = check_domain(ascii, strlen(ascii), error) &&
           append_domain(address, used, ascii, strlen(ascii), error);
    idn2_free(ascii);
    return good;
}

static bool
read_domain(
    struct address *address, size_t used, const char *domain, size_t length, struct error *error)
{
    if (!text_is_ascii(domain, length))
        return read_international(address, used, domain, length, error);
    if (length > 0 && domain[0] == '[')
        return check_literal(domain, length, error) &&
               append_domain(address, used, domain, length, error);
    return check_domain(domain, length, error) &&
           append_domain(address, used, domain, length, error);
}

static void
trim(const char **text, size_t *length)
{
    while (*length > 0 && memchr(BLANKS, **text, sizeof(BLANKS) - 1) != NULL) {
        ++*text;
        --*length;
    }
    while (*length > 0 && memchr(BLANKS, (*text)[*length - 1], sizeof(BLANKS) - 1) != NULL)
        --*length;
}

bool
address_read(struct address *address, const char *text, size_t length, struct error *error)
{
    size_t end = 0;

    trim(&text, &length);
    if (length == 0)
        return error_set(error, "no address");
    if (length > RAW_MAX)
        return error_set(
            error, "the address has %zu characters, %d are the most", length, ADDRESS_MAX);
    if (!(text[0] == '"' ? read_quoted : read_dot_atom)(text, length, &end, error))
        return false;
    if (end == length)
        return error_set(error, "no @ in the address");
    if (text[end] != '@')
        return refuse_character(text + end, length - end, error);
    if (end > ADDRESS_LOCAL_MAX)
        return error_set(
            error, "the part before the @ has more than %d characters", ADDRESS_LOCAL_MAX);
    memcpy(address->text, text, end + 1);
    address->domain = end + 1;
    address->needs_smtputf8 = !text_is_ascii(text, end);
    return read_domain(address, end + 1, text + end + 1, length - end - 1, error);
}

/* True where the domain is made of what names of hosts are made of, and underscores. */
static bool
is_loose_domain(const char *domain, size_t length)
{
    size_t label = 0;

    for (size_t i = 0; i < length; i++) {
        bool is_dot = domain[i] == '.';

        if (!is_dot && strchr("-_", domain[i]) == NULL &&
            memchr(LETTERS_DIGITS, domain[i], sizeof(LETTERS_DIGITS) - 1) == NULL)
            return false;
        if (is_dot && label == 0)
            return false;
        label = is_dot ? 0 : label + 1;
        if (label > LABEL_MAX)
            return false;
    }
    return label > 0 && length <= ADDRESS_DOMAIN_MAX;
}

static bool
is_loose_local(const char *local, size_t length)
{
    size_t at = 0;

    while (at < length) {
        size_t count = local[at] == '.' ? 1 : atom_length(local + at, length - at);

        if (count == 0)
            return false;
        at += count;
    }
    return length > 0 && length <= ADDRESS_LOCAL_MAX && text_is_ascii(local, length);
}

bool
address_read_loosely(struct address *address, const char *text, size_t length, struct error *error)
{
    const char *at;
    size_t local;

    if (address_read(address, text, length, error))
        return true;
    trim(&text, &length);
    at = memrchr(text, '@', length);
    local = at != NULL ? (size_t)(at - text) : length;
    if (at == NULL || length > ADDRESS_MAX || !is_loose_local(text, local) ||
        !is_loose_domain(at + 1, length - local - 1))
        return false;
    memcpy(address->text, text, length);
    address->text[length] = '\0';
    address->domain = local + 1;
    address->needs_smtputf8 = false;
    return true;
}
