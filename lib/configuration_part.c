/*
 * A program's part of the configuration as octets: every value as the text a file would have, each
 * with its NUL, in the order of config.def. Both ends are of one build, so nothing is named; what
 * is read is parsed as strictly as a file is, and must be used up to the last octet.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/configuration.h"
#include "lib/memory.h"
#include "lib/sealed.h"
#include "lib/text.h"

#define PART_MAX ((size_t)256 * 1024 * 1024)
#define PART_TITLE "smailer configuration"

static const struct value_range NO_LIMITS = {0};

struct part_output {
    char *octets;
    size_t used;
    size_t size;
};

struct part_input {
    const char *octets;
    size_t size;
    size_t at;
};

static void
text_put(struct part_output *output, const char *text)
{
    size_t length = strlen(text) + 1;
    if (output->size - output->used < length) {
        output->size = (output->size + length) * 2;
        output->octets = memory_resize(output->octets, output->size, 1);
    }
    memcpy(output->octets + output->used, text, length);
    output->used += length;
}

static void
count_put(struct part_output *output, size_t count)
{
    char text[24];
    text_format(text, sizeof text, "%zu", count);
    text_put(output, text);
}

/* The next text, a pointer into the octets. */
static const char *
text_take(struct part_input *input, struct error *error)
{
    const char *text = input->octets + input->at;
    size_t left = input->size - input->at;
    size_t length = strnlen(text, left);
    if (length == left) {
        error_set(error, "the configuration ends early");
        return NULL;
    }
    input->at += length + 1;
    return text;
}

/* A count of things that take one octet each at least. */
static bool
count_take(struct part_input *input, size_t *count, struct error *error)
{
    const char *text = text_take(input, error);
    unsigned number = 0;
    if (text == NULL || !value_parse(VALUE_COUNT, &NO_LIMITS, text, &number, error))
        return false;
    *count = number;
    return number <= input->size - input->at || error_set(error, "a count is too large");
}

static void
keys_put(struct part_output *output, struct key_table table, enum role role, const void *object)
{
    for (size_t i = 0; i < table.count; i++) {
        const struct key *key = &table.keys[i];
        if ((key->roles & ROLE_BIT(role)) == 0)
            continue;
        const void *value = key_value(key, object);
        size_t count = value_count(key->type, value);
        count_put(output, count);
        for (size_t at = 0; at < count; at++) {
            char *text = value_print(key->type, &key->range, value, at);
            text_put(output, text);
            free(text);
        }
    }
}

static bool
key_take(struct part_input *input, const struct key *key, void *member, struct error *error)
{
    size_t count;
    if (!count_take(input, &count, error))
        return error_prefix(error, "%s", key->name);
    if (count > 1 && key->type != VALUE_LIST)
        return error_set(error, "%s: %zu values for one", key->name, count);
    bool may_be_empty = key->standard == NULL || key->standard[0] == '\0';
    bool taken = true;
    for (size_t at = 0; taken && at < count; at++) {
        const char *text = text_take(input, error);
        bool empty = text != NULL && text[0] == '\0' && may_be_empty;
        taken = text != NULL && (empty || value_parse(key->type, &key->range, text, member, error));
    }
    return taken || error_prefix(error, "%s", key->name);
}

static bool
keys_take(struct part_input *input, struct key_table table, enum role role, void *object,
    struct error *error)
{
    for (size_t i = 0; i < table.count; i++) {
        const struct key *key = &table.keys[i];
        if ((key->roles & ROLE_BIT(role)) != 0 &&
            !key_take(input, key, key_member(key, object), error))
            return false;
    }
    return true;
}

/* True where ROLE is handed something of SECTION. */
static bool
section_is_for(const char *section, enum role role)
{
    struct key_table table = keys_in(section);
    for (size_t i = 0; i < table.count; i++)
        if ((table.keys[i].roles & ROLE_BIT(role)) != 0)
            return true;
    return false;
}

static void
arrays_put(struct part_output *output, const struct configuration *configuration, enum role role)
{
    size_t queues = section_is_for("queue", role) ? configuration->queue_count : 0;
    size_t accounts = section_is_for("account", role) ? configuration->account_count : 0;
    count_put(output, queues);
    for (size_t i = 0; i < queues; i++) {
        count_put(output, configuration->queues[i].kind);
        keys_put(output, keys_in("queue"), role, &configuration->queues[i]);
    }
    count_put(output, accounts);
    for (size_t i = 0; i < accounts; i++) {
        text_put(output, configuration->accounts[i].address);
        keys_put(output, keys_in("account"), role, &configuration->accounts[i]);
    }
}

static bool
queues_take(struct part_input *input, enum role role, struct configuration *configuration,
    struct error *error)
{
    size_t count;
    bool taken = count_take(input, &count, error);
    for (size_t i = 0; taken && i < count; i++) {
        size_t kind;
        struct queue_settings *queue = configuration_add_queue(configuration);
        if (!count_take(input, &kind, error))
            return false;
        if (kind >= SECTION_KIND_COUNT)
            return error_set(error, "a queue of kind %zu", kind);
        queue->kind = (enum section_kind)kind;
        taken = keys_take(input, keys_in("queue"), role, queue, error);
    }
    return taken;
}

static bool
accounts_take(struct part_input *input, enum role role, struct configuration *configuration,
    struct error *error)
{
    size_t count;
    bool taken = count_take(input, &count, error);
    for (size_t i = 0; taken && i < count; i++) {
        const char *address = text_take(input, error);
        taken = address != NULL && keys_take(input, keys_in("account"), role,
                                       configuration_add_account(configuration, address), error);
    }
    return taken;
}

int
configuration_encode(const struct configuration *configuration, enum role role, struct error *error)
{
    struct part_output output = {0};
    text_put(&output, PART_TITLE);
    text_put(&output, role_name(role));
    keys_put(&output, keys_in(""), role, &configuration->settings);
    for (enum role program = 0; program < ROLE_COUNT; program++)
        keys_put(
            &output, keys_of_program(role_name(program)), role, &configuration->programs[program]);
    arrays_put(&output, configuration, role);
    int descriptor = sealed_create("smailer-configuration", output.octets, output.used, error);
    free(output.octets);
    return descriptor;
}

static bool
title_take(struct part_input *input, enum role role, struct error *error)
{
    const char *title = text_take(input, error);
    const char *name = title == NULL ? NULL : text_take(input, error);
    if (name == NULL)
        return false;
    if (strcmp(title, PART_TITLE) != 0 || strcmp(name, role_name(role)) != 0)
        return error_set(error, "it is not the configuration of %s", role_name(role));
    return true;
}

static bool
part_take(struct part_input *input, enum role role, struct configuration *configuration,
    struct error *error)
{
    bool taken = title_take(input, role, error) &&
                 keys_take(input, keys_in(""), role, &configuration->settings, error);
    for (enum role program = 0; taken && program < ROLE_COUNT; program++)
        taken = keys_take(input, keys_of_program(role_name(program)), role,
            &configuration->programs[program], error);
    taken = taken && queues_take(input, role, configuration, error) &&
            accounts_take(input, role, configuration, error);
    if (taken && input->at != input->size)
        taken = error_set(error, "%zu octets are left over", input->size - input->at);
    return taken;
}

bool
configuration_decode(
    struct configuration *configuration, enum role role, int descriptor, struct error *error)
{
    struct part_input input = {0};
    *configuration = (struct configuration){0};
    input.octets = sealed_map(descriptor, PART_MAX, &input.size, error);
    if (input.octets == NULL)
        return error_prefix(error, "read the configuration");
    configuration_init(configuration);
    bool taken = part_take(&input, role, configuration, error);
    if (!taken)
        configuration_free(configuration);
    sealed_unmap(input.octets, input.size);
    return taken || error_prefix(error, "read the configuration");
}
