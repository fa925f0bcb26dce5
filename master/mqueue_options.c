#include "master/mqueue_options.h"

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"

/* A directory that is in no configuration belongs to this base. */
#define NAME "sendmail"

/* The section of DIRECTORY, or the first. */
static struct section_settings *
find_section(struct configuration *configuration, const char *directory)
{
    struct section_settings *first = NULL;

    for (size_t i = 0; i < configuration->section_count; i++) {
        struct section_settings *section = &configuration->sections[i];

        if (section->kind != SECTION_MQUEUE)
            continue;
        if (strcmp(section->directory, directory) == 0)
            return section;
        first = first != NULL ? first : section;
    }
    return first != NULL ? first : configuration_add_section(configuration, SECTION_MQUEUE, NAME);
}

/* The section moves to the front, and the others are not looked for. */
static void
use_only(struct configuration *configuration, const char *directory)
{
    struct section_settings *section = find_section(configuration, directory);
    struct section_settings chosen = *section;

    free(chosen.directory);
    chosen.directory = memory_copy_text(directory);
    *section = configuration->sections[0];
    configuration->sections[0] = chosen;
    configuration_keep_sections(configuration, 1);
}

static bool
set_interval(struct configuration *configuration, const char *text, struct error *error)
{
    const struct key *key = key_find(keys_in("mqueue"), "interval");
    bool is_number = text[strspn(text, "0123456789")] == '\0';
    char *duration = memory_format("%s%s", text, is_number ? "m" : "");
    bool is_set = true;

    for (size_t i = 0; i < configuration->section_count && is_set; i++)
        if (configuration->sections[i].kind == SECTION_MQUEUE)
            is_set = value_parse(key->type, &key->range, duration,
                key_member(key, &configuration->sections[i]), error);
    free(duration);
    return is_set;
}

bool
mqueue_options_apply(
    const struct options *options, struct configuration *configuration, struct error *error)
{
    const char *environment = getenv("QPI");

    if (options->mqueue != NULL)
        use_only(configuration, options->mqueue);
    if (options->mqueue_interval != NULL)
        return set_interval(configuration, options->mqueue_interval, error) ||
               error_prefix(error, "--mqueue-interval");
    if (environment != NULL && environment[0] != '\0')
        return set_interval(configuration, environment, error) || error_prefix(error, "QPI");
    return true;
}
