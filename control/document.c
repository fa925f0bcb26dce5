#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include "control/document.h"
#include "lib/memory.h"

/* The longest reference that a character becomes, "&quot;". */
#define REFERENCE_LENGTH 6

static const struct {
    char character;
    const char *reference;
} REFERENCES[] = {
    {'&', "&amp;"},
    {'<', "&lt;"},
    {'>', "&gt;"},
    {'"', "&quot;"},
};

static const char *
find_reference(char character)
{
    for (size_t i = 0; i < sizeof(REFERENCES) / sizeof(REFERENCES[0]); i++) {
        if (REFERENCES[i].character == character)
            return REFERENCES[i].reference;
    }
    return NULL;
}

static char *
escape(const char *text)
{
    size_t size = strlen(text) * REFERENCE_LENGTH + 1;
    char *escaped = memory_new(size, 1);

    for (; *text != '\0'; text++) {
        const char character[2] = {*text, '\0'};
        const char *reference = find_reference(*text);

        strlcat(escaped, reference != NULL ? reference : character, size);
    }
    return escaped;
}

char *
document_make(const char *sender, const char *address, time_t now)
{
    char *escaped_sender = escape(sender);
    char *escaped_address = escape(address);
    char host[256] = "";
    char written[32] = "";
    struct tm local;
    char *document;

    gethostname(host, sizeof(host) - 1);
    if (localtime_r(&now, &local) != NULL)
        strftime(written, sizeof(written), "%d.%m.%Y %H:%M:%S", &local);
    document = memory_format("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                             "<list><item>\n"
                             "<fld_time>%s</fld_time>\n"
                             "<fld_sender>%s</fld_sender>\n"
                             "<fld_address>%s</fld_address>\n"
                             "<fld_topic>Test mail of smailer</fld_topic>\n"
                             "<fld_content>This mail was sent by `smailer test` on %s\n"
                             "through the account of %s.\n"
                             "That it arrived shows that the account works.\n"
                             "</fld_content>\n"
                             "</item></list>\n",
        written, escaped_sender, escaped_address, host, escaped_sender);
    free(escaped_sender);
    free(escaped_address);
    return document;
}
