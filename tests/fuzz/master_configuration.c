/*
 * Any octets as the three files of a configuration, each ended by NUL: what is taken is, printed
 * and read again, the same, and so is each program's part of it; what is refused is told of in
 * words that are safe to show.
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "master/configuration_file.h"
#include "master/conninfo.h"
#include "tests/fuzz/fuzz.h"

static const char *const FILES[] = {"main.cf", "master.cf", "accounts.cf"};
enum { FILE_COUNT = sizeof(FILES) / sizeof(FILES[0]) };

static char directory[] = "/dev/shm/smailer-fuzz-XXXXXX";

static void
remove_files(void)
{
    for (size_t i = 0; i < FILE_COUNT; i++) {
        char path[64];

        snprintf(path, sizeof(path), "%s/%s", directory, FILES[i]);
        unlink(path);
    }
    rmdir(directory);
}

static void
write_file(size_t number, struct rest text)
{
    char path[64];
    int descriptor;

    snprintf(path, sizeof(path), "%s/%s", directory, FILES[number]);
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(descriptor >= 0);
    require(write(descriptor, text.octets, text.size) == (ssize_t)text.size);
    close(descriptor);
}

/* A secret is not printed, so what has one cannot be read again. */
static bool
has_secrets(const struct configuration *configuration)
{
    for (size_t i = 0; i < configuration->account_count; i++)
        if (configuration->accounts[i].password)
            return true;
    for (size_t i = 0; i < configuration->section_count; i++)
        if (configuration->sections[i].kind == SECTION_SQL &&
            conninfo_has_password(configuration->sections[i].conninfo))
            return true;
    return false;
}

static char *
print(const struct configuration *configuration, size_t *length)
{
    char *text = NULL;
    FILE *stream = open_memstream(&text, length);

    require(stream != NULL);
    configuration_print(configuration, stream);
    require(fclose(stream) == 0);
    return text;
}

/* The printed text as the three files that it is. */
static void
write_printed(const char *text, size_t length)
{
    struct rest rest = {text, length};

    write_file(0, rest_take(&rest, "\n# master.cf\n", strlen("\n# master.cf\n")));
    write_file(1, rest_take(&rest, "\n# accounts.cf\n", strlen("\n# accounts.cf\n")));
    write_file(2, rest);
}

static void
check_printed(const struct configuration *configuration)
{
    struct configuration again;
    struct secrets secrets;
    struct error error;
    size_t length;
    size_t length_again;
    char *text = print(configuration, &length);
    char *text_again;

    write_printed(text, length);
    if (!configuration_load(directory, &again, &secrets, &error)) {
        fprintf(stderr, "%s\n%s", error.text, text);
        abort();
    }
    text_again = print(&again, &length_again);
    require(length_again == length && strcmp(text_again, text) == 0);
    configuration_free(&again);
    secrets_free(&secrets);
    free(text_again);
    free(text);
}

static void
check_parts(const struct configuration *configuration)
{
    for (enum role role = 0; role < ROLE_COUNT; role++) {
        struct configuration part;
        struct error error;
        int descriptor = configuration_encode(configuration, role, &error);

        require(descriptor >= 0);
        require(configuration_decode(&part, role, descriptor, &error));
        configuration_free(&part);
        close(descriptor);
    }
}

static void
check_error(const struct error *error)
{
    require(error->text[0] != '\0');
    for (const char *at = error->text; *at != '\0'; at++)
        require(!iscntrl((unsigned char)*at));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool made;
    struct rest rest = {(const char *)data, size};
    struct configuration configuration;
    struct secrets secrets;
    struct error error = {0};

    if (!made) {
        require(mkdtemp(directory) != NULL && atexit(remove_files) == 0);
        made = true;
    }
    for (size_t i = 0; i < FILE_COUNT; i++)
        write_file(i, rest_take(&rest, "", 1));
    if (!configuration_load(directory, &configuration, &secrets, &error)) {
        check_error(&error);
        return 0;
    }
    check_parts(&configuration);
    if (!has_secrets(&configuration))
        check_printed(&configuration);
    configuration_free(&configuration);
    secrets_free(&secrets);
    return 0;
}
