#include "cleanup/local.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/memory.h"

enum { DEPTH_MAX = 10, FILE_MAX = 4 << 20, EXPANDED_MAX = 65536 };

struct alias {
    const char *name;
    char *targets; /* with commas between them */
};

struct local {
    const struct local_settings *settings;
    char *text;
    struct alias *aliases;
    size_t count;
};

/* TEXT without the blanks around it, which it loses. */
static char *
trim(char *text)
{
    size_t length;

    text += strspn(text, " \t\r\n");
    length = strlen(text);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
        text[--length] = '\0';
    return text;
}

/* Ends the line at LINE, with those that continue it, and returns the next one. */
static char *
take_line(char *line)
{
    char *end = line;

    while ((end = strchr(end, '\n')) != NULL) {
        if (end[1] != ' ' && end[1] != '\t') {
            *end = '\0';
            return end + 1;
        }
        *end++ = ' ';
    }
    return line + strlen(line);
}

static void
add_line(struct local *local, char *line)
{
    char *colon;

    line[strcspn(line, "#")] = '\0';
    colon = strchr(line, ':');
    if (colon == NULL)
        return;
    *colon = '\0';
    local->aliases = memory_resize(local->aliases, local->count + 1, sizeof(local->aliases[0]));
    local->aliases[local->count++] = (struct alias){trim(line), trim(colon + 1)};
}

static char *
read_file(const char *path, struct error *error)
{
    FILE *stream = fopen(path, "re");
    size_t length;
    char *text;

    if (stream == NULL) {
        error_errno(error, "open the aliases %s", path);
        return NULL;
    }
    text = memory_new(FILE_MAX + 1, 1);
    length = fread(text, 1, FILE_MAX, stream);
    if (ferror(stream) || memchr(text, '\0', length) != NULL || length == FILE_MAX) {
        error_set(error, "the aliases %s cannot be read, or are no text", path);
        free(text);
        text = NULL;
    }
    (void)fclose(stream);
    return text;
}

struct local *
local_open(const struct local_settings *settings, struct error *error)
{
    struct local *local = memory_new(1, sizeof(*local));

    local->settings = settings;
    if (settings->aliases[0] == '\0')
        return local;
    local->text = read_file(settings->aliases, error);
    if (local->text == NULL) {
        local_close(local);
        return NULL;
    }
    local->text = memory_resize(local->text, strlen(local->text) + 1, 1);
    for (char *line = local->text; *line != '\0';) {
        char *next = take_line(line);

        add_line(local, line);
        line = next;
    }
    return local;
}

void
local_close(struct local *local)
{
    free(local->text);
    free(local->aliases);
    free(local);
}

const char *
local_hostname(const struct local *local)
{
    return local->settings->hostname;
}

static const struct alias *
find(const struct local *local, const char *name)
{
    for (size_t i = 0; i < local->count; i++)
        if (strcasecmp(local->aliases[i].name, name) == 0)
            return &local->aliases[i];
    return NULL;
}

static bool resolve(const struct local *local, const char *name, int depth,
    struct output *addresses, struct error *error);

static bool
add_target(const struct local *local, const char *target, int depth, struct output *addresses,
    struct error *error)
{
    if (strchr("/|:\"", target[0]) != NULL)
        return error_set(error, "the alias for it is no address: %s", target);
    if (strchr(target, '@') == NULL)
        return resolve(local, target, depth + 1, addresses, error);
    if (addresses->used + strlen(target) + 1 > EXPANDED_MAX)
        return error_set(error, "its aliases are too many");
    output_bytes(addresses, target, strlen(target) + 1);
    return true;
}

static bool
resolve(const struct local *local, const char *name, int depth, struct output *addresses,
    struct error *error)
{
    const struct alias *alias = find(local, name);
    char *targets;
    char *rest;
    bool done = true;

    if (depth > DEPTH_MAX)
        return error_set(error, "its aliases go in a circle");
    if (alias == NULL && local->settings->rest[0] != '\0')
        return add_target(local, local->settings->rest, DEPTH_MAX, addresses, error);
    if (alias == NULL)
        return error_set(error,
            "there is no local delivery, and neither an alias for \"%s\" nor "
            "local_to says where it goes",
            name);
    targets = memory_copy_text(alias->targets);
    rest = targets;
    for (char *target; done && (target = strsep(&rest, ",")) != NULL;) {
        target = trim(target);
        done = target[0] == '\0' || add_target(local, target, depth, addresses, error);
    }
    free(targets);
    return done;
}

bool
local_resolve(
    const struct local *local, const char *name, struct output *addresses, struct error *error)
{
    size_t used = addresses->used;

    if (name[0] == '\\')
        name++;
    if (resolve(local, name, 0, addresses, error))
        return addresses->used > used || error_set(error, "the alias for it is empty");
    addresses->used = used;
    return false;
}
