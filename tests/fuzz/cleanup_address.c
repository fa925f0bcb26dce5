/*
 * Any octets as an address: what is taken is one address that cannot be more to any relay, and is
 * read again as itself.
 */
#include <ctype.h>

#include "cleanup/address.h"
#include "lib/text.h"
#include "tests/fuzz/fuzz.h"

/* Blanks, angle brackets and the like may stand between quotation marks only. */
static void
check_local(const char *text, size_t length)
{
    bool quoted = text[0] == '"';

    require(length > 0 && length <= ADDRESS_LOCAL_MAX);
    require(text_is_utf8(text, length));
    if (quoted)
        require(length >= 2 && text[length - 1] == '"');
    for (size_t i = 0; i < length; i++) {
        require((unsigned char)text[i] >= ' ' && text[i] != 0x7F);
        require(quoted || strchr(" <>()[],;:\\\"@", text[i]) == NULL);
    }
}

static void
check_domain(const char *text)
{
    require(text[0] != '\0' && strlen(text) <= ADDRESS_DOMAIN_MAX);
    for (const char *at = text; *at != '\0'; at++)
        require(isalnum((unsigned char)*at) || strchr(text[0] == '[' ? ":.[]" : "-.", *at) != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct address address;
    struct address again;
    struct error error = {0};

    if (!address_read(&address, (const char *)data, size, &error)) {
        require(error.text[0] != '\0' && text_is_utf8(error.text, strlen(error.text)));
        require(strpbrk(error.text, "\r\n") == NULL);
        return 0;
    }
    require(address.domain > 1 && address.text[address.domain - 1] == '@');
    require(strlen(address.text) <= ADDRESS_MAX);
    check_local(address.text, address.domain - 1);
    check_domain(address.text + address.domain);
    require(address.needs_smtputf8 == !text_is_ascii(address.text, strlen(address.text)));
    require(address_read(&again, address.text, strlen(address.text), &error));
    require(strcmp(again.text, address.text) == 0 && again.domain == address.domain);
    require(again.needs_smtputf8 == address.needs_smtputf8);
    return 0;
}
