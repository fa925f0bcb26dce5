#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <getopt.h>
#include <string.h>
#include <sysexits.h>

#include "cli/options.h"
#include "queue/queue.h"

#define WORDS_MAX 16

/* Parses the words of LINE, which begins with the program's name. */
static bool
parse(struct options *options, const char *line, int *status)
{
    static char copy[512];
    static char *words[WORDS_MAX + 1];
    char *rest = copy;
    int count = 0;

    assert_true(strlen(line) < sizeof(copy));
    strcpy(copy, line);
    while (rest != NULL && count < WORDS_MAX)
        words[count++] = strsep(&rest, " ");
    words[count] = NULL;
    optind = 0;
    return options_parse(options, count, words, status);
}

static void
options_stand_anywhere(void **state)
{
    static const char *const LINES[] = {
        "smailer --sid=alfa -c /conf --json queue foo@example.com",
        "smailer queue --sid alfa foo@example.com -c/conf --json",
        "smailer queue foo@example.com --json --cfg-file /conf --sid alfa",
    };
    struct options options;
    int status;

    (void)state;
    for (size_t i = 0; i < sizeof(LINES) / sizeof(LINES[0]); i++) {
        assert_true(parse(&options, LINES[i], &status));
        assert_string_equal(options.sid, "alfa");
        assert_string_equal(options.configuration_directory, "/conf");
        assert_true(options.json);
        assert_int_equal(options.word_count, 2);
        assert_string_equal(options.words[0], "queue");
        assert_string_equal(options.words[1], "foo@example.com");
    }
}

static void
mistakes_are_usage(void **state)
{
    static const char *const LINES[] = {
        "smailer --nonsense queue",
        "smailer --sid= queue",
        "smailer --sid",
        "smailer queue --state waiting,nonsense",
        "smailer queue --state ,",
        "smailer --timeout 0 send",
        "smailer --timeout 1x send",
        "smailer --timeout 999999 send",
        "smailer --verbose loud send",
        "smailer --purge send",
        "smailer --tester a@b.c send",
        "smailer --testing nobody send",
        "smailer --testing @x send",
        "smailer --daemon send",
    };
    struct options options;
    int status;

    (void)state;
    for (size_t i = 0; i < sizeof(LINES) / sizeof(LINES[0]); i++) {
        status = 0;
        assert_false(parse(&options, LINES[i], &status));
        assert_int_equal(status, EX_USAGE);
    }
}

static void
values_are_taken(void **state)
{
    struct options options;
    int status;

    (void)state;
    assert_true(parse(&options,
        "smailer send --testing a@b.c --tester d@e.f --purge --timeout 30 --verbose debug",
        &status));
    assert_string_equal(options.testing, "a@b.c");
    assert_string_equal(options.tester, "d@e.f");
    assert_string_equal(options.verbose, "debug");
    assert_int_equal(options.timeout, 30);
    assert_true(options.purge);
    assert_true(parse(&options, "smailer --daemon --pid-file p --log-file l", &status));
    assert_true(options.daemon);
    assert_string_equal(options.pid_file, "p");
    assert_string_equal(options.log_file, "l");
}

static void
states_are_a_set(void **state)
{
    uint32_t states;

    (void)state;
    assert_true(options_parse_states("waiting", &states));
    assert_int_equal(states, 1U << MAIL_WAITING);
    assert_true(options_parse_states("sent,dropped", &states));
    assert_int_equal(states, 1U << MAIL_SENT | 1U << MAIL_DROPPED);
    assert_true(options_parse_states("all", &states));
    assert_int_equal(states, (1U << MAIL_STATE_COUNT) - 1);
    assert_false(options_parse_states("", &states));
}

static void
slips_are_guessed(void **state)
{
    static const char *const NAMES[] = {"queue", "send", "test", "status"};

    (void)state;
    assert_string_equal(options_nearest("quue", NAMES, 4), "queue");
    assert_string_equal(options_nearest("sned", NAMES, 4), "send");
    assert_string_equal(options_nearest("statsu", NAMES, 4), "status");
    assert_null(options_nearest("mailq", NAMES, 4));
    assert_null(options_nearest("", NAMES, 4));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_anywhere),
        cmocka_unit_test(mistakes_are_usage),
        cmocka_unit_test(values_are_taken),
        cmocka_unit_test(states_are_a_set),
        cmocka_unit_test(slips_are_guessed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
