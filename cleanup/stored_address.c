#include "cleanup/stored_address.h"

#include <string.h>

#include <bsd/string.h>

#include "lib/address_list.h"

/* What makes a text more than a bare address. */
static const char AROUND[] = "<>()\",;: \t\n";

/* The only address of TEXT. */
static bool
find_address(const char *text, char address[ADDRESS_LIST_SIZE])
{
    char another[ADDRESS_LIST_SIZE];
    struct error error;

    return address_list_next(&text, address, &error) &&
           !address_list_next(&text, another, &error) && error.text[0] == '\0';
}

void
stored_address_strip(char target[STORED_ADDRESS_SIZE], const char *text)
{
    char address[ADDRESS_LIST_SIZE];

    text += strspn(text, " \t");
    if (strpbrk(text, AROUND) != NULL && find_address(text, address))
        text = strcmp(address, "<>") == 0 ? "" : address;
    if (text[0] == '\\' && strchr(text, '@') != NULL)
        text++; /* it says that no alias counts */
    strlcpy(target, text, STORED_ADDRESS_SIZE);
}

bool
stored_address_read(struct address *address, const char *text, struct error *error)
{
    size_t length = strlen(text);

    /* A dot at the end says that the domain is a whole one. */
    if (length > 1 && text[length - 1] == '.' && strchr(text, '@') != NULL)
        length--;
    return address_read_loosely(address, text, length, error);
}
