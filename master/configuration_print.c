#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "master/configuration_file.h"
#include "master/conninfo.h"

/* TEXT in double quotes, where libconfuse's scanner expands ${NAME} and backslashes. */
static void
text_print(FILE *stream, const char *text)
{
    fputc('"', stream);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\' || *text == '$')
            fputc('\\', stream);
        fputc(*text, stream);
    }
    fputc('"', stream);
}

static void
key_print(FILE *stream, const char *indent, const struct key *key, const void *object)
{
    const void *value = key_value(key, object);
    size_t count = value_count(key->type, value);
    bool list = key->type == VALUE_LIST;
    if (strcmp(key->name, "conninfo") == 0 && conninfo_has_password(*(const char *const *)value)) {
        fprintf(stream, "%s# %s has a password in it, and is not shown\n", indent, key->name);
        return;
    }
    if (key->type == VALUE_SECRET) {
        if (*(const bool *)value)
            fprintf(stream, "%s# %s is set, and not shown\n", indent, key->name);
        return;
    }
    fprintf(stream, "%s%s = %s", indent, key->name, list ? "{" : "");
    for (size_t at = 0; at < count; at++) {
        char *text = value_print(key->type, &key->range, value, at);
        fputs(at > 0 ? ", " : "", stream);
        text_print(stream, text);
        free(text);
    }
    fprintf(stream, "%s\n", list ? "}" : "");
}

static void
keys_print(FILE *stream, const char *indent, struct key_table table, const void *object)
{
    for (size_t i = 0; i < table.count; i++)
        key_print(stream, indent, &table.keys[i], object);
}

static void
section_print(
    FILE *stream, const char *section, struct key_table keys, const char *title, const void *object)
{
    fprintf(stream, "\n%s ", section);
    if (title != NULL) {
        text_print(stream, title);
        fputc(' ', stream);
    }
    fputs("{\n", stream);
    keys_print(stream, "    ", keys, object);
    fputs("}\n", stream);
}

static void
main_section_print(FILE *stream, const struct section_settings *section)
{
    const char *kind = section_kind_name(section->kind);
    section_print(stream, kind, keys_in(kind), section->name, section);
}

static void
queues_print(FILE *stream, const struct configuration *configuration)
{
    for (size_t i = 0; i < configuration->queue_count; i++) {
        char path[4096];
        const struct queue_settings *queue = &configuration->queues[i];
        if (queue->path[0] == '\0')
            continue;
        fprintf(stream, "%s# %s/%s is in %s\n", i == 0 ? "\n" : "", queue->section, queue->sid,
            text_escape(path, sizeof path, queue->path));
    }
}

void
configuration_print(const struct configuration *configuration, FILE *stream)
{
    fputs("# main.cf\n", stream);
    keys_print(stream, "", keys_in(""), &configuration->settings);
    for (size_t i = 0; i < configuration->section_count; i++)
        main_section_print(stream, &configuration->sections[i]);
    queues_print(stream, configuration);
    fputs("\n# master.cf\n", stream);
    for (enum role role = 0; role < ROLE_COUNT; role++)
        if (keys_of_program(role_name(role)).count > 0)
            section_print(stream, role_name(role), keys_of_program(role_name(role)), NULL,
                &configuration->programs[role]);
    fputs("\n# accounts.cf\n", stream);
    for (size_t i = 0; i < configuration->account_count; i++)
        section_print(stream, "account", keys_in("account"), configuration->accounts[i].address,
            &configuration->accounts[i]);
}
