#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/configuration.h"
#include "lib/memory.h"
#include "master/logs.h"

static char directory[PATH_MAX];
static struct configuration configuration;

static int
prepare(void **state)
{
    (void)state;
    umask(022);
    snprintf(directory, sizeof(directory), "/tmp/smailer-unit-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return 1;
    configuration_init(&configuration);
    free(configuration.settings.log_directory);
    configuration.settings.log_directory = memory_format("%s/a/log", directory);
    return 0;
}

static int
remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static int
clean(void **state)
{
    (void)state;
    configuration_free(&configuration);
    return nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void
write_text(int descriptor, const char *text)
{
    assert_int_equal(write(descriptor, text, strlen(text)), (ssize_t)strlen(text));
}

static void
each_program_has_a_file(void **state)
{
    struct logs logs;
    struct error error;
    struct stat status;

    (void)state;
    assert_true(logs_open(&logs, &configuration.settings, NULL, &error));
    assert_int_equal(logs.target, LOG_TARGET_FILE);
    assert_true(logs.descriptors[ROLE_QMGR] >= 0);
    assert_int_equal(logs.descriptors[ROLE_CLIENT], -1);
    assert_int_equal(stat(logs.paths[ROLE_QMGR], &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    assert_string_equal(strrchr(logs.paths[ROLE_QMGR], '/'), "/qmgr.log");
    logs_close(&logs);
}

static void
one_file_is_for_all(void **state)
{
    char *path = memory_format("%s/one", directory);
    struct logs logs;
    struct error error;
    struct stat status;

    (void)state;
    assert_true(logs_open(&logs, &configuration.settings, path, &error));
    write_text(logs.descriptors[ROLE_MASTER], "a\n");
    write_text(logs.descriptors[ROLE_SMTP], "b\n");
    write_text(logs.descriptors[ROLE_MASTER], "c\n");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 6);
    logs_close(&logs);
    free(path);
}

static void
a_moved_file_is_made_again(void **state)
{
    char *moved = memory_format("%s/old", directory);
    struct logs logs;
    struct error error;
    struct stat status;

    (void)state;
    assert_true(logs_open(&logs, &configuration.settings, NULL, &error));
    assert_int_equal(rename(logs.paths[ROLE_QMGR], moved), 0);
    logs_reopen(&logs);
    write_text(logs.descriptors[ROLE_QMGR], "new\n");
    assert_int_equal(stat(logs.paths[ROLE_QMGR], &status), 0);
    assert_int_equal(status.st_size, 4);
    logs_close(&logs);
    free(moved);
}

static void
a_directory_that_cannot_be_is_an_error(void **state)
{
    struct logs logs;
    struct error error;
    char *blocked = memory_format("%s/file", directory);
    FILE *file = fopen(blocked, "we");

    (void)state;
    assert_non_null(file);
    fclose(file);
    free(configuration.settings.log_directory);
    configuration.settings.log_directory = memory_format("%s/log", blocked);
    assert_false(logs_open(&logs, &configuration.settings, NULL, &error));
    assert_int_equal(logs.descriptors[ROLE_MASTER], -1);
    free(blocked);
}

static void
last_words_are_those_of_the_process(void **state)
{
    struct logs logs;
    struct error error;
    char words[64];

    (void)state;
    assert_true(logs_open(&logs, &configuration.settings, NULL, &error));
    assert_false(logs_last_words(&logs, ROLE_QMGR, 7, words, sizeof(words)));
    write_text(logs.descriptors[ROLE_QMGR], "T host smailer/qmgr[7]: error: first\n"
                                            "T host smailer/qmgr[7]: error: last\n"
                                            "T host smailer/qmgr[77]: error: another one's\n");
    assert_true(logs_last_words(&logs, ROLE_QMGR, 7, words, sizeof(words)));
    assert_string_equal(words, "last");
    write_text(logs.descriptors[ROLE_QMGR], "T host smailer/qmgr[8]: words without an end");
    assert_true(logs_last_words(&logs, ROLE_QMGR, 8, words, sizeof(words)));
    assert_string_equal(words, "words without an end");
    logs_close(&logs);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_program_has_a_file, prepare, clean),
        cmocka_unit_test_setup_teardown(one_file_is_for_all, prepare, clean),
        cmocka_unit_test_setup_teardown(a_moved_file_is_made_again, prepare, clean),
        cmocka_unit_test_setup_teardown(a_directory_that_cannot_be_is_an_error, prepare, clean),
        cmocka_unit_test_setup_teardown(last_words_are_those_of_the_process, prepare, clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
