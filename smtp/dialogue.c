#include <string.h>
#include <strings.h>

#include "smtp/dialogue.h"

/* What a command says about how far the session is. */
static const struct {
    const char *verb;
    enum stage stage;
} VERBS[] = {
    {"EHLO", STAGE_EHLO},
    {"HELO", STAGE_EHLO},
    {"STARTTLS", STAGE_TLS},
    {"AUTH", STAGE_LOGIN},
};

void
dialogue_init(struct dialogue *dialogue)
{
    memset(dialogue, 0, sizeof(*dialogue));
    dialogue->stage = STAGE_GREETING;
    reply_reader_init(&dialogue->reader);
}

/* Of a login, its mechanism at the most. */
static const char *
without_secrets(const char *line, size_t *length)
{
    static const char BLANKED[] = "(not shown)";
    const char *end;

    if (*length < 5 || strncasecmp(line, "AUTH ", 5) != 0) {
        *length = sizeof(BLANKED) - 1;
        return BLANKED;
    }
    end = memchr(line + 5, ' ', *length - 5);
    if (end != NULL)
        *length = (size_t)(end - line);
    return line;
}

const char *
dialogue_said(struct dialogue *dialogue, const char *line, size_t *length)
{
    if (!dialogue->broken)
        reply_reader_init(&dialogue->reader);
    for (size_t i = 0; i < sizeof(VERBS) / sizeof(VERBS[0]); i++) {
        size_t width = strlen(VERBS[i].verb);

        if (*length >= width && strncasecmp(line, VERBS[i].verb, width) == 0 &&
            (*length == width || line[width] == ' '))
            dialogue->stage = VERBS[i].stage;
    }
    if (dialogue->stage == STAGE_EHLO) {
        dialogue->capabilities = (struct capabilities){0};
        dialogue->lines = 0;
    }
    return dialogue->stage == STAGE_LOGIN ? without_secrets(line, length) : line;
}

void
dialogue_heard(struct dialogue *dialogue, const char *line, size_t length)
{
    size_t text = length;
    size_t used;

    while (text > 0 && (line[text - 1] == '\n' || line[text - 1] == '\r'))
        text--;
    /* The first line has the server's name. */
    if (dialogue->stage == STAGE_EHLO && dialogue->lines++ > 0 && text > 4)
        capabilities_add(&dialogue->capabilities, line + 4, text - 4);
    while (length > 0 && !dialogue->broken) {
        dialogue->broken = reply_read(&dialogue->reader, line, length, &used) == REPLY_BROKEN;
        line += used;
        length -= used;
    }
}

const struct reply *
dialogue_reply(const struct dialogue *dialogue)
{
    return dialogue->reader.complete && !dialogue->broken ? &dialogue->reader.reply : NULL;
}
