/*
 * A directory with the three files of a configuration, for one test.
 */
#ifndef SMAILER_TESTS_CONFIGURATION_PLACE_H
#define SMAILER_TESTS_CONFIGURATION_PLACE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/configuration_file.h"

#define ACCOUNT "account foo@example.com {\n sids = { a }\n relay = mx.example.com\n"
#define PLACE_TEST(name) cmocka_unit_test_setup_teardown(name, place_make, place_remove)

/* A directory for the files of one test. */
struct place {
    char directory[64];
    struct configuration configuration;
    struct secrets secrets;
    struct error error;
};

static inline int
entry_remove(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

static inline void
file_write(const struct place *place, const char *name, const char *text, mode_t mode)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", place->directory, name);
    unlink(path);
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    assert_true(descriptor >= 0);
    assert_int_equal(fchmod(descriptor, mode), 0);
    assert_int_equal(write(descriptor, text, strlen(text)), strlen(text));
    close(descriptor);
}

static inline int
place_make(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    strcpy(place->directory, "/tmp/smailer-test-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    file_write(place, "main.cf", "", 0644);
    file_write(place, "master.cf", "", 0644);
    file_write(place, "accounts.cf", "", 0644);
    *state = place;
    return 0;
}

static inline int
place_remove(void **state)
{
    struct place *place = *state;
    configuration_free(&place->configuration);
    secrets_free(&place->secrets);
    nftw(place->directory, entry_remove, 8, FTW_DEPTH | FTW_PHYS);
    free(place);
    return 0;
}

static inline bool
place_load(struct place *place)
{
    configuration_free(&place->configuration);
    secrets_free(&place->secrets);
    place->error.text[0] = '\0';
    return configuration_load(
        place->directory, &place->configuration, &place->secrets, &place->error);
}

/* Loading fails with words that hold WORDS. */
static inline void
assert_refused(struct place *place, const char *words)
{
    if (place_load(place))
        fail_msg("it was taken, expected: %s", words);
    if (strstr(place->error.text, words) == NULL)
        fail_msg("\"%s\" does not hold \"%s\"", place->error.text, words);
}

static inline void
assert_loaded(struct place *place)
{
    if (!place_load(place))
        fail_msg("%s", place->error.text);
}

/* Makes the directory NAME below PLACE, and those above it. */
static inline void
directory_add(const struct place *place, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", place->directory, name);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
}

#endif
