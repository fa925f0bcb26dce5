#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "master/options.h"

#define ARGUMENTS_MAX 8

/* Parses what stands behind the program's name; ended by NULL. */
static bool
parse(struct options *options, int *status, const char *const *given)
{
    static char texts[ARGUMENTS_MAX + 1][64];
    char *arguments[ARGUMENTS_MAX + 2] = {texts[0], NULL};
    int count = 1;

    snprintf(texts[0], sizeof(texts[0]), "smailer-master");
    for (; given[count - 1] != NULL; count++) {
        snprintf(texts[count], sizeof(texts[count]), "%s", given[count - 1]);
        arguments[count] = texts[count];
    }
    arguments[count] = NULL;
    optind = 0;
    return options_parse(options, count, arguments, status);
}

static void
nothing_given_is_a_daemon_in_the_foreground(void **state)
{
    static const char *const GIVEN[] = {NULL};
    struct options options;
    int status;

    (void)state;
    assert_true(parse(&options, &status, GIVEN));
    assert_string_equal(options.configuration_directory, "/etc/smailer");
    assert_int_equal(options.client, -1);
    assert_false(options.detach);
    assert_false(options_on_demand(&options));
    options_free(&options);
}

static void
paths_become_absolute(void **state)
{
    static const char *const GIVEN[] = {
        "-c", "conf", "--log-file", "/tmp/l", "--pid-file", "p", NULL};
    struct options options;
    int status;

    (void)state;
    assert_int_equal(chdir("/tmp"), 0);
    assert_true(parse(&options, &status, GIVEN));
    assert_string_equal(options.configuration_directory, "/tmp/conf");
    assert_string_equal(options.log_file, "/tmp/l");
    assert_string_equal(options.pid_file, "/tmp/p");
    options_free(&options);
    assert_int_equal(chdir("/"), 0);
    assert_true(parse(&options, &status, GIVEN));
    assert_string_equal(options.configuration_directory, "/conf");
    options_free(&options);
}

static void
a_client_is_a_descriptor_that_is_open(void **state)
{
    static const char *const WRONG[][3] = {{"--client", "999", NULL}, {"--client", "1", NULL},
        {"--client", "4x", NULL}, {"--client", "", NULL}};
    char number[16];
    const char *const given[] = {"--client", number, "--testing", "a@b.example", "--purge", NULL};
    struct options options;
    int descriptor = dup(STDERR_FILENO);
    int status;

    (void)state;
    snprintf(number, sizeof(number), "%d", descriptor);
    assert_true(parse(&options, &status, given));
    assert_int_equal(options.client, descriptor);
    assert_int_equal(fcntl(descriptor, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_true(options_on_demand(&options));
    assert_string_equal(options.testing, "a@b.example");
    assert_true(options.purge);
    options_free(&options);
    close(descriptor);
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        assert_false(parse(&options, &status, WRONG[i]));
        assert_int_equal(status, EX_USAGE);
        options_free(&options);
    }
}

static void
what_does_not_go_together_is_refused(void **state)
{
    static const char *const WRONG[][4] = {
        {"-d", "-1", NULL},
        {"--purge", NULL},
        {"--testing", "a@b.example", NULL},
        {"-c", "", NULL},
        {"--wrong", NULL},
        {"operand", NULL},
    };
    struct options options;
    int status;

    (void)state;
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        status = -1;
        assert_false(parse(&options, &status, WRONG[i]));
        assert_int_equal(status, EX_USAGE);
        options_free(&options);
    }
}

static void
help_and_version_end_well(void **state)
{
    static const char *const ASKED[][2] = {{"-h", NULL}, {"--version", NULL}};
    struct options options;
    int status;

    (void)state;
    for (size_t i = 0; i < sizeof(ASKED) / sizeof(ASKED[0]); i++) {
        status = -1;
        assert_false(parse(&options, &status, ASKED[i]));
        assert_int_equal(status, EX_OK);
        options_free(&options);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_given_is_a_daemon_in_the_foreground),
        cmocka_unit_test(paths_become_absolute),
        cmocka_unit_test(a_client_is_a_descriptor_that_is_open),
        cmocka_unit_test(what_does_not_go_together_is_refused),
        cmocka_unit_test(help_and_version_end_well),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
