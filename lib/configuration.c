#include "lib/configuration.h"

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"

static const char *const CHOICES_log_level[] = {"error", "warn", "info", "debug", NULL};
static const char *const CHOICES_log_to[] = {
    [LOG_TO_FILES] = "files", [LOG_TO_SYSLOG] = "syslog", [LOG_TO_STDERR] = "stderr", NULL};
static const char *const CHOICES_sandbox[] = {[SANDBOX_CHOICE_AUTO] = "auto",
    [SANDBOX_CHOICE_REQUIRED] = "required",
    [SANDBOX_CHOICE_OFF] = "off",
    NULL};
static const char *const CHOICES_unknown_sender[] = {
    [UNKNOWN_SENDER_DEFER] = "defer", [UNKNOWN_SENDER_DROP] = "drop", NULL};
static const char *const CHOICES_tls[] = {
    [TLS_STARTTLS] = "starttls", [TLS_SMTPS] = "smtps", [TLS_NONE] = "none", NULL};
static const char *const CHOICES_auth[] = {[AUTH_AUTO] = "auto",
    [AUTH_PLAIN] = "plain",
    [AUTH_LOGIN] = "login",
    [AUTH_CRAM_MD5] = "cram-md5",
    [AUTH_OAUTH] = "oauth",
    [AUTH_XOAUTH2] = "xoauth2",
    [AUTH_OAUTHBEARER] = "oauthbearer",
    NULL};
static const char *const CHOICES_tls_minimum[] = {[TLS_MINIMUM_1_0] = "1.0",
    [TLS_MINIMUM_1_1] = "1.1",
    [TLS_MINIMUM_1_2] = "1.2",
    [TLS_MINIMUM_1_3] = "1.3",
    NULL};

#define TO(ROLE) ROLE_BIT(ROLE_##ROLE)
#define EVERYBODY (ROLE_BIT(ROLE_COUNT) - 1)
#define NOBODY 0U
#define RANGE(least, most)                                                                         \
    {                                                                                              \
        .minimum = (least), .maximum = (most)                                                      \
    }
#define CHOICES(list)                                                                              \
    {                                                                                              \
        .choices = CHOICES_##list                                                                  \
    }
#define ANY                                                                                        \
    {                                                                                              \
        0                                                                                          \
    }
#define HEAD(section, object, type, name)                                                          \
    section, #name, VALUE_##type, offsetof(struct object, name)

static const struct key KEYS[] = {
#define SETTINGS_KEY(type, name, standard, range, roles, meaning)                                  \
    {HEAD("", settings, type, name), standard, range, roles, meaning, false},
#define SECTION_KEY(kind, type, name, standard, range, roles, meaning)                             \
    {HEAD(#kind, section_settings, type, name), standard, range, roles, meaning, false},
#define PROGRAM_KEY(program, type, name, standard, range, roles, meaning)                          \
    {HEAD(#program, program_settings, type, name), standard, range, roles, meaning, true},
#define ACCOUNT_KEY(type, name, standard, range, roles, meaning)                                   \
    {HEAD("account", account_settings, type, name), standard, range, roles, meaning, false},
#define QUEUE_MEMBER(type, name, roles)                                                            \
    {HEAD("queue", queue_settings, type, name), NULL, ANY, roles, "", false},
#include "lib/config.def"
};

static const char *const KIND_NAMES[] = {
#define SECTION_KIND(KIND, kind) #kind,
#include "lib/config.def"
};

struct key_table
keys_all(void)
{
    return (struct key_table){.keys = KEYS, .count = sizeof KEYS / sizeof *KEYS};
}

static bool
key_is_in(const struct key *key, const char *section, bool program)
{
    return key->program == program && strcmp(key->section, section) == 0;
}

static struct key_table
keys_find(const char *section, bool program)
{
    struct key_table table = {.keys = KEYS};
    const struct key *end = KEYS + sizeof KEYS / sizeof *KEYS;
    while (table.keys < end && !key_is_in(table.keys, section, program))
        table.keys++;
    while (table.keys + table.count < end && key_is_in(&table.keys[table.count], section, program))
        table.count++;
    return table;
}

struct key_table
keys_in(const char *section)
{
    return keys_find(section, false);
}

struct key_table
keys_of_program(const char *program)
{
    return keys_find(program, true);
}

const char *
section_kind_name(enum section_kind kind)
{
    return KIND_NAMES[kind];
}

const struct key *
key_find(struct key_table table, const char *name)
{
    for (size_t i = 0; i < table.count; i++)
        if (strcmp(table.keys[i].name, name) == 0)
            /* cppcheck-suppress returnDanglingLifetime; it is not the parameter's: keys points
             * elsewhere */
            return &table.keys[i];
    return NULL;
}

void *
key_member(const struct key *key, void *object)
{
    return (char *)object + key->offset;
}

const void *
key_value(const struct key *key, const void *object)
{
    return (const char *)object + key->offset;
}

/* Fills OBJECT, which must be zeroed, with TABLE's defaults; what has none is "" or empty. */
static void
keys_set_defaults(struct key_table table, void *object)
{
    for (size_t i = 0; i < table.count; i++)
        value_set_default(table.keys[i].type, &table.keys[i].range, table.keys[i].standard,
            key_member(&table.keys[i], object));
}

/* Frees what TABLE's members of OBJECT own. */
static void
keys_free(struct key_table table, void *object)
{
    for (size_t i = 0; i < table.count; i++)
        value_free(table.keys[i].type, key_member(&table.keys[i], object));
}

void
configuration_init(struct configuration *configuration)
{
    *configuration = (struct configuration){0};
    keys_set_defaults(keys_in(""), &configuration->settings);
    for (enum role role = 0; role < ROLE_COUNT; role++) {
        configuration->programs[role].instances = 1;
        keys_set_defaults(keys_of_program(role_name(role)), &configuration->programs[role]);
    }
}

void
configuration_keep_sections(struct configuration *configuration, size_t count)
{
    while (configuration->section_count > count) {
        struct section_settings *section = &configuration->sections[--configuration->section_count];
        keys_free(keys_in(section_kind_name(section->kind)), section);
        free(section->name);
    }
}

static void
sections_free(struct configuration *configuration)
{
    configuration_keep_sections(configuration, 0);
    free(configuration->sections);
}

static void
accounts_free(struct configuration *configuration)
{
    for (size_t i = 0; i < configuration->account_count; i++) {
        keys_free(keys_in("account"), &configuration->accounts[i]);
        free(configuration->accounts[i].address);
    }
    free(configuration->accounts);
}

void
configuration_clear_queues(struct configuration *configuration)
{
    for (size_t i = 0; i < configuration->queue_count; i++)
        keys_free(keys_in("queue"), &configuration->queues[i]);
    free(configuration->queues);
    configuration->queues = NULL;
    configuration->queue_count = 0;
}

void
configuration_free(struct configuration *configuration)
{
    keys_free(keys_in(""), &configuration->settings);
    for (enum role role = 0; role < ROLE_COUNT; role++)
        keys_free(keys_of_program(role_name(role)), &configuration->programs[role]);
    sections_free(configuration);
    accounts_free(configuration);
    configuration_clear_queues(configuration);
    *configuration = (struct configuration){0};
}

/* Room for one more element behind COUNT of them, zeroed; returns the array. */
static void *
array_grow(void *array, size_t count, size_t size)
{
    char *grown = memory_resize(array, count + 1, size);
    memset(grown + count * size, 0, size);
    return grown;
}

struct section_settings *
configuration_add_section(
    struct configuration *configuration, enum section_kind kind, const char *name)
{
    configuration->sections = array_grow(
        configuration->sections, configuration->section_count, sizeof *configuration->sections);
    struct section_settings *section = &configuration->sections[configuration->section_count++];
    section->kind = kind;
    section->name = memory_copy_text(name);
    keys_set_defaults(keys_in(section_kind_name(kind)), section);
    return section;
}

size_t
configuration_sections(const struct configuration *configuration, enum section_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < configuration->section_count; i++)
        count += configuration->sections[i].kind == kind;
    return count;
}

bool
configuration_wants_tokens(const struct configuration *configuration)
{
    for (size_t i = 0; i < configuration->account_count; i++)
        if (configuration->accounts[i].token_command.count > 0)
            return true;
    return false;
}

struct queue_settings *
configuration_add_queue(struct configuration *configuration)
{
    configuration->queues = array_grow(
        configuration->queues, configuration->queue_count, sizeof *configuration->queues);
    struct queue_settings *queue = &configuration->queues[configuration->queue_count++];
    keys_set_defaults(keys_in("queue"), queue);
    return queue;
}

struct account_settings *
configuration_add_account(struct configuration *configuration, const char *address)
{
    configuration->accounts = array_grow(
        configuration->accounts, configuration->account_count, sizeof *configuration->accounts);
    struct account_settings *account = &configuration->accounts[configuration->account_count++];
    account->address = memory_copy_text(address);
    keys_set_defaults(keys_in("account"), account);
    return account;
}
