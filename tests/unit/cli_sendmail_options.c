#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/sendmail_options.h"

#define WORDS_MAX 16

static char *complaint;

/* Parses the words of LINE, which are divided by single blanks. */
static int
parse(struct sendmail_options *options, const char *line)
{
    static char copy[512];
    static char *words[WORDS_MAX + 1];
    char *rest = copy;
    int count = 0;
    size_t size;
    FILE *errors;
    int status;

    assert_true(strlen(line) < sizeof(copy));
    strcpy(copy, line);
    while (rest != NULL && count < WORDS_MAX)
        words[count++] = strsep(&rest, " ");
    words[count] = NULL;
    free(complaint);
    errors = open_memstream(&complaint, &size);
    status = sendmail_options_parse(options, strcmp(words[0], "mailq") == 0, count, words, errors);
    fclose(errors);
    return status;
}

static void
times_have_units(void **state)
{
    static const struct {
        const char *line;
        int64_t seconds;
    } CASES[] = {
        {"sendmail -q15d", 1296000},
        {"sendmail -q15h", 54000},
        {"sendmail -q15", 900},
        {"sendmail -q1h30m", 5400},
        {"sendmail -q1h30", 5400},
        {"sendmail -q90s", 90},
        {"sendmail -q2w", 1209600},
        {"sendmail -q1w2d3h4m5s", 788645},
        {"sendmail -bd -q15", 900},
        {"sendmail -qp1m", 60},
    };
    struct sendmail_options options;

    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        assert_int_equal(parse(&options, CASES[i].line), EX_OK);
        assert_int_equal(options.mode, SENDMAIL_DAEMON);
        assert_int_equal(options.interval, CASES[i].seconds);
        sendmail_options_free(&options);
    }
}

static void
mistakes_are_told_as_sendmail_does(void **state)
{
    static const struct {
        const char *line;
        const char *words;
    } CASES[] = {
        {"sendmail -q15x", "Invalid time unit `x'\n"},
        {"sendmail -q15M -bp", "Invalid time unit `M'\n"},
        {"sendmail -q1.5h -bp", "Invalid time unit `.'\n"},
        {"sendmail -q30q -bp", "Invalid time unit `q'\n"},
        {"sendmail -qx", "Invalid time unit `x'\n"},
        {"sendmail -q-5m", "Invalid -q value\n"},
        {"sendmail -q-5", "Invalid -q value\n"},
        {"sendmail -qnow", "Invalid -q value\n"},
        {"sendmail -bd -q5y", "550 Invalid time unit `y'\n"},
        {"sendmail -q!Gx", "Can not use -q!G\n"},
        {"sendmail -qGa -qGb", "Can not use multiple -qG options\n"},
        {"sendmail -q1h -bs", "550 Can not use -q with -bs\n"},
        {"sendmail -q -bt", "Can not use -q with -bt\n"},
        {"sendmail -bz", "Invalid operation mode z\n"},
        {"sendmail -fa -rb", "More than one \"from\" person\n"},
        {"sendmail -B9BIT", "Illegal body type 9BIT\n"},
        {"sendmail -Nsometimes", "Invalid -N argument\n"},
        {"sendmail -Rall", "Invalid -R value\n"},
        {"sendmail -Va=b", "Invalid syntax in -V argument\n"},
        {"sendmail -hx", "Bad hop value (x)\n"},
    };
    struct sendmail_options options;

    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        assert_int_equal(parse(&options, CASES[i].line), EX_USAGE);
        assert_string_equal(complaint, CASES[i].words);
        sendmail_options_free(&options);
    }
}

static void
a_message_has_its_envelope(void **state)
{
    struct sendmail_options options;

    (void)state;
    assert_int_equal(parse(&options, "sendmail -FCronDaemon -i -B8BITMIME -oem root"), EX_OK);
    assert_int_equal(options.mode, SENDMAIL_SUBMIT);
    assert_string_equal(options.full_name, "CronDaemon");
    assert_string_equal(options.body_type, "8BITMIME");
    assert_true(options.ignore_dots);
    assert_int_equal(options.word_count, 1);
    assert_string_equal(options.words[0], "root");
    sendmail_options_free(&options);

    assert_int_equal(
        parse(&options, "sendmail -oi -t -f ann@x -N success,delay -R hdrs -V E+2B -z a@b -- -c"),
        EX_OK);
    assert_true(options.from_headers && options.ignore_dots && options.notify_given);
    assert_string_equal(options.sender, "ann@x");
    assert_int_equal(options.notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
    assert_string_equal(options.return_part, "hdrs");
    assert_string_equal(options.envelope_id, "E+2B");
    assert_int_equal(options.word_count, 2);
    assert_string_equal(options.words[1], "-c");
    sendmail_options_free(&options);
}

static void
modes_and_settings(void **state)
{
    struct sendmail_options options;

    (void)state;
    assert_int_equal(parse(&options, "sendmail -v -oQ/var/spool/omqueue -q"), EX_OK);
    assert_int_equal(options.mode, SENDMAIL_RUN);
    assert_true(options.verbose);
    assert_string_equal(options.queue_directory, "/var/spool/omqueue");
    sendmail_options_free(&options);

    assert_int_equal(parse(&options, "mailq -OMinQueueAge=3h -OQueueLA=0 -OQueueFactor=1 "
                                     "-OMaxQueueRunSize=2 -OQueueSortOrder=Host -qQ"),
        EX_OK);
    assert_int_equal(options.mode, SENDMAIL_PRINT);
    assert_int_equal(options.least_age, 10800);
    assert_int_equal(options.load, 0);
    assert_int_equal(options.factor, 1);
    assert_int_equal(options.most, 2);
    assert_int_equal(options.order, ORDER_HOST);
    assert_int_equal(options.selection.queue, 'Q');
    sendmail_options_free(&options);

    assert_int_equal(parse(&options, "sendmail -q0s"), EX_OK);
    assert_int_equal(options.mode, SENDMAIL_RUN);
    sendmail_options_free(&options);
    assert_int_equal(parse(&options, "sendmail -qf"), EX_OK);
    assert_true(options.mode == SENDMAIL_RUN && options.foreground);
    sendmail_options_free(&options);
    assert_int_equal(parse(&options, "sendmail -bi"), EX_OK);
    assert_int_equal(options.mode, SENDMAIL_NOTHING);
    sendmail_options_free(&options);
}

/* A: Ann.Lee@Example.ORG to bob; B: geo to Sally.Smith and carl; C: <zed@example.org> to <zoe>. */
static const struct {
    const char *name;
    char details[160];
    size_t size;
} JOBS[] = {
#define JOB(name, details)                                                                         \
    {                                                                                              \
        name, details, sizeof(details)                                                             \
    }
    JOB("qf6AM5EDAS024595", "SAnn.Lee@Example.ORG\0RPFD:bob@far.example.net"),
    JOB("qf6AM5EDkJ024596", "Sgeo@george.example.org\0RPFD:Sally.Smith@Far.Example.NET\0"
                            "RPFD:carl@other.example.com"),
    JOB("qf6AM5EDaf024597", "S<zed@example.org>\0RPFD:<zoe@far.example.net>"),
};

static void
selections_are_combined(void **state)
{
    static const struct {
        const char *options;
        const char *selected;
    } CASES[] = {
        {"-qRsally", "B"},
        {"-qRSALLY", "B"},
        {"-qRsmith@far", "B"},
        {"-qRcarl", "B"},
        {"-qRfar.example.net", "ABC"},
        {"-qR<zoe", "C"},
        {"-qRP", "ABC"},
        {"-qRPFD", ""},
        {"-qR", "ABC"},
        {"-qR*", ""},
        {"-qRs.lly", ""},
        {"-qSann", "A"},
        {"-qSEXAMPLE.org", "ABC"},
        {"-qS<", "C"},
        {"-qSgeo", "B"},
        {"-qSnosuch", ""},
        {"-qI6AM5EDAS024595", "A"},
        {"-qI024595", "A"},
        {"-qI6am5edas024595", ""},
        {"-qIqf", "ABC"},
        {"-qIqf6AM5EDAS024595", "A"},
        {"-qI", "ABC"},
        {"-q!Rsally", "ABC"},
        {"-q!Sgeo", "AC"},
        {"-q!I6AM5EDAS024595", "BC"},
        {"-qRbob -qRzoe", "AC"},
        {"-qRfar -qSgeo", "B"},
        {"-qSann -qSgeo", "AB"},
        {"-q!Rcarl", "ABC"},
        {"-q!Rbob -q!Rzoe", "ABC"},
        {"-q", "ABC"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct sendmail_options options;
        char line[128];
        char selected[4] = "";

        snprintf(line, sizeof(line), "sendmail %s", CASES[i].options);
        assert_int_equal(parse(&options, line), EX_OK);
        for (size_t job = 0; job < 3; job++) {
            const struct bytes details = {JOBS[job].details, JOBS[job].size};

            if (mailq_selection_fits(&options.selection, JOBS[job].name, &details))
                selected[strlen(selected)] = (char)('A' + job);
        }
        sendmail_options_free(&options);
        assert_string_equal(selected, CASES[i].selected);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_have_units),
        cmocka_unit_test(mistakes_are_told_as_sendmail_does),
        cmocka_unit_test(a_message_has_its_envelope),
        cmocka_unit_test(modes_and_settings),
        cmocka_unit_test(selections_are_combined),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    free(complaint);
    return failed;
}
