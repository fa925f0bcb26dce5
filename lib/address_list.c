#include "lib/address_list.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* One element of a list while it is read. */
struct element {
    char *address;
    size_t used;
    bool gap; /* blanks that are between two words of it */
    bool blank; /* the last thing was blank */
    bool angle; /* within, or after, angle brackets: what they hold is the address */
    bool closed;
    bool stray; /* a bracket closes what was not opened */
    bool too_long;
};

static void
put(struct element *element, char character)
{
    if (element->closed)
        return;
    if (element->used > 0 && element->blank && strchr("@.:", character) == NULL &&
        strchr("@.:", element->address[element->used - 1]) == NULL)
        element->gap = true;
    element->blank = false;
    if (element->used + 1 < ADDRESS_LIST_SIZE)
        element->address[element->used++] = character;
    else
        element->too_long = true;
}

/* Forgets what came before: it was a name. */
static void
begin_again(struct element *element)
{
    element->used = 0;
    element->gap = false;
    element->blank = false;
    element->too_long = false;
}

/* Behind the comment that *TEXT begins with. */
static const char *
skip_comment(const char *text)
{
    unsigned int depth = 0;

    for (; *text != '\0'; text++) {
        if (*text == '\\' && text[1] != '\0')
            text++;
        else if (*text == '(')
            depth++;
        else if (*text == ')' && --depth == 0)
            return text + 1;
    }
    return text;
}

/* Behind the quoted string that TEXT begins with. */
static const char *
take_quoted(struct element *element, const char *text)
{
    put(element, *text++);
    for (; *text != '\0'; text++) {
        put(element, *text);
        if (*text == '\\' && text[1] != '\0')
            put(element, *++text);
        else if (*text == '"')
            return text + 1;
    }
    return text;
}

/* Behind the domain literal that TEXT begins with: the colons in it are no group's. */
static const char *
take_literal(struct element *element, const char *text)
{
    while (*text != '\0' && *text != ']')
        put(element, *text++);
    if (*text == ']')
        put(element, *text++);
    return text;
}

/* A single character that means something; false: it ends the element. */
static bool
take_character(struct element *element, char character)
{
    bool is_within = element->angle && !element->closed;

    if (character == '<') {
        begin_again(element);
        element->angle = true;
    } else if (character == '>') {
        element->closed = element->angle;
        element->stray = !element->angle;
    } else if (character == ':' && (!element->angle || (is_within && element->address[0] == '@'))) {
        begin_again(element); /* a group's name, or a route */
    } else if ((character == ',' && !(is_within && element->address[0] == '@')) ||
               (character == ';' && !is_within)) {
        return false;
    } else if (strchr(" \t\r\n", character) != NULL) {
        element->blank = true;
    } else {
        put(element, character);
    }
    return true;
}

static void
read_element(struct element *element, const char **text)
{
    const char *at = *text;
    bool more = true;

    while (*at != '\0' && more) {
        if (*at == '(')
            at = skip_comment(at);
        else if (*at == '"')
            at = take_quoted(element, at);
        else if (*at == '[')
            at = take_literal(element, at);
        else if (*at == '\\' && at[1] != '\0' && !element->angle)
            put(element, *at), put(element, at[1]), at += 2;
        else
            more = take_character(element, *at++);
    }
    element->address[element->used] = '\0';
    *text = at;
}

/* What is wrong with it; NULL: nothing that is known here. */
static const char *
find_objection(const struct element *element)
{
    const char *address = element->address;

    if (element->too_long)
        return "Address too long";
    if (element->angle && !element->closed)
        return "Unbalanced '<'";
    if (element->stray)
        return "Unbalanced '>'";
    if (element->gap)
        return "Address with a blank in it";
    if (address[0] == '|' || strncmp(address, "\"|", 2) == 0)
        return "Cannot mail directly to programs";
    if (address[0] == '/' || strncasecmp(address, ":include:", 9) == 0)
        return "Cannot mail directly to files";
    if (address[0] == '@')
        return "User address required";
    if (address[strlen(address) - 1] == '@')
        return "Hostname required";
    for (; *address != '\0'; address++)
        if ((unsigned char)*address < ' ' || *address == 0x7F)
            return "Address with a control character in it";
    return NULL;
}

bool
address_list_next(const char **text, char address[ADDRESS_LIST_SIZE], struct error *error)
{
    const char *objection;

    *error = (struct error){.code = 0};
    while (**text != '\0') {
        struct element element = {.address = address};

        address[0] = '\0';
        read_element(&element, text);
        if (element.used == 0 && element.closed) {
            memcpy(address, "<>", sizeof("<>"));
            return true;
        }
        if (element.used == 0)
            continue;
        objection = find_objection(&element);
        if (objection == NULL)
            return true;
        return error_set(error, "%.200s... %s", address, objection);
    }
    return false;
}
