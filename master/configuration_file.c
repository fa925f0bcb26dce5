#include "master/configuration_file.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/job_number.h"
#include "lib/memory.h"
#include "master/account_check.h"
#include "master/conninfo.h"
#include "master/generation.h"
#include "master/grammar.h"
#include "master/program.h"
#include "master/user_defaults.h"

/* What is at work while the three files are read. */
struct load {
    const char *directory; /* as the caller wrote it, for words */
    char *absolute; /* what paths in the files are below */
    struct configuration *configuration;
    struct secrets *secrets;
};

static bool
file_read(const struct load *load, const char *name, const struct grammar *grammar,
    struct grammar_file *file, struct error *error)
{
    size_t length = strlen(load->directory);
    bool slash = length > 0 && load->directory[length - 1] == '/';
    char *path = memory_format("%s%s%s", load->directory, slash ? "" : "/", name);
    bool read = grammar_read(grammar, path, file, error);
    free(path);
    return read;
}

/* Section names stand before sids in SECTION/SID, and in file names of records. */
static bool
section_check_name(const struct configuration *configuration, const char *name, struct error *error)
{
    if (name[0] == '\0' || name[0] == '.' || strpbrk(name, "/* \t\n") != NULL)
        return error_set(error,
            "section \"%s\": expected a name without /, *, blanks and a dot at its beginning",
            name);
    for (size_t i = 0; i < configuration->section_count; i++)
        if (strcmp(configuration->sections[i].name, name) == 0)
            return error_set(error, "section %s is there twice", name);
    return true;
}

/* Makes *PATH, where it is relative, one below the configuration's directory. */
static void
path_resolve(const struct load *load, char **path)
{
    if ((*path)[0] == '\0' || (*path)[0] == '/')
        return;
    char *absolute = memory_format("%s/%s", load->absolute, *path);
    free(*path);
    *path = absolute;
}

static bool
sections_take(const struct load *load, cfg_t *root, enum section_kind kind, struct error *error)
{
    const char *name = section_kind_name(kind);
    if (kind == SECTION_SQL && cfg_size(root, name) > JOB_SQL_MAX)
        return error_set(error, "main.cf: more than %d sections of tables", JOB_SQL_MAX);
    for (unsigned i = 0; i < cfg_size(root, name); i++) {
        cfg_t *section = cfg_getnsec(root, name, i);
        if (!section_check_name(load->configuration, cfg_title(section), error))
            return grammar_error(section, error);
        struct section_settings *settings =
            configuration_add_section(load->configuration, kind, cfg_title(section));
        if (!grammar_take(section, keys_in(name), settings, error))
            return false;
        if (kind == SECTION_MQUEUE)
            path_resolve(load, &settings->aliases);
    }
    return true;
}

/* A password in a database's access makes of main.cf a file with a secret in it. */
static bool
conninfos_check(const struct load *load, const struct grammar_file *file, struct error *error)
{
    for (size_t i = 0; i < load->configuration->section_count; i++) {
        const struct section_settings *section = &load->configuration->sections[i];
        if (section->kind == SECTION_SQL && conninfo_has_password(section->conninfo) &&
            !secret_is_guarded(file->root->filename, &file->status, error))
            return false;
    }
    return true;
}

static bool
main_load(const struct load *load, struct error *error)
{
    static const char *const SECTIONS[] = {
#define SECTION_KIND(KIND, kind) #kind,
#include "lib/config.def"
        NULL};
    static const struct grammar MAIN = {.sections = SECTIONS, .titled = true, .has_keys = true};
    struct grammar_file file;
    if (!file_read(load, "main.cf", &MAIN, &file, error))
        return false;
    bool taken = grammar_take(file.root, keys_in(""), &load->configuration->settings, error);
    for (enum section_kind kind = 0; taken && kind < SECTION_KIND_COUNT; kind++)
        taken = sections_take(load, file.root, kind, error);
    taken = taken && conninfos_check(load, &file, error);
    grammar_free(&file);
    return taken;
}

static bool
programs_load(const struct load *load, struct error *error)
{
    const char *sections[ROLE_COUNT + 1];
    size_t count = 0;
    for (enum role role = 0; role < ROLE_COUNT; role++)
        if (keys_of_program(role_name(role)).count > 0)
            sections[count++] = role_name(role);
    sections[count] = NULL;
    struct grammar grammar = {.sections = sections};
    struct grammar_file file;
    if (!file_read(load, "master.cf", &grammar, &file, error))
        return false;
    bool taken = true;
    for (enum role role = 0; taken && role < ROLE_COUNT; role++) {
        cfg_t *section =
            keys_of_program(role_name(role)).count > 0 && cfg_size(file.root, role_name(role)) > 0
                ? cfg_getsec(file.root, role_name(role))
                : NULL;
        if (section != NULL)
            taken = grammar_take(section, keys_of_program(role_name(role)),
                &load->configuration->programs[role], error);
    }
    grammar_free(&file);
    return taken;
}

/* Adds the account's secret to the others, -1 where it has none. */
static bool
secret_take(const struct load *load, struct grammar_file *file, cfg_t *section,
    const struct account_settings *account, struct error *error)
{
    int secret = -1;
    if (account->password) {
        if (!secret_is_guarded(section->filename, &file->status, error))
            return false;
        size_t place = strtoul(cfg_getstr(section, "password"), NULL, 10);
        secret = file->captured.descriptors[place];
        file->captured.descriptors[place] = -1;
    } else if (account->password_file[0] != '\0') {
        secret = secret_read(account->password_file, error);
        if (secret < 0)
            return error_prefix(error, "account %s", account->address) ||
                   grammar_error(section, error);
    }
    secrets_add(load->secrets, secret);
    return true;
}

static bool
account_take(
    const struct load *load, struct grammar_file *file, cfg_t *section, struct error *error)
{
    if (!account_check_title(load->configuration, cfg_title(section), error))
        return grammar_error(section, error);
    struct account_settings *account =
        configuration_add_account(load->configuration, cfg_title(section));
    if (!grammar_take(section, keys_in("account"), account, error))
        return false;
    path_resolve(load, &account->ca_file);
    path_resolve(load, &account->password_file);
    if (!account_complete(account, error))
        return grammar_error(section, error);
    return secret_take(load, file, section, account, error);
}

static bool
accounts_load(const struct load *load, struct error *error)
{
    static const char *const SECTIONS[] = {"account", NULL};
    static const struct grammar ACCOUNTS = {.sections = SECTIONS, .titled = true};
    struct grammar_file file;
    if (!file_read(load, "accounts.cf", &ACCOUNTS, &file, error))
        return false;
    bool taken = true;
    for (unsigned i = 0; taken && i < cfg_size(file.root, "account"); i++)
        taken = account_take(load, &file, cfg_getnsec(file.root, "account", i), error);
    grammar_free(&file);
    return taken;
}

bool
configuration_load_main(
    const char *directory, struct configuration *configuration, struct error *error)
{
    const struct load load = {.directory = directory, .configuration = configuration};

    configuration_init(configuration);
    if (user_defaults_set(&configuration->settings, error) && main_load(&load, error))
        return true;
    configuration_free(configuration);
    return false;
}

bool
configuration_load(const char *directory, struct configuration *configuration,
    struct secrets *secrets, struct error *error)
{
    struct load load = {.directory = directory, .configuration = configuration, .secrets = secrets};
    *secrets = (struct secrets){0};
    *configuration = (struct configuration){0};
    load.absolute = realpath(directory, NULL);
    if (load.absolute == NULL)
        return error_errno(error, "find the configuration's directory %s", directory);
    configuration_init(configuration);
    bool loaded = user_defaults_set(&configuration->settings, error) && main_load(&load, error) &&
                  programs_load(&load, error) && accounts_load(&load, error);
    free(load.absolute);
    secrets_forget();
    if (!loaded) {
        secrets_free(secrets);
        configuration_free(configuration);
    }
    return loaded;
}

bool
configuration_check_users(const struct configuration *configuration, struct error *error)
{
    struct program_rights rights;
    for (size_t i = 0; i < PROGRAM_ROLE_COUNT; i++)
        if (generation_instances(configuration, PROGRAM_ROLES[i]) > 0 &&
            !program_find_rights(configuration, PROGRAM_ROLES[i], &rights, error))
            return false;
    return true;
}
