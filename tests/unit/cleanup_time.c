#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cleanup/time.h"

static const struct {
    const char *text;
    time_t expected;
} GOOD[] = {
    {"17.10.2011 00:00:11", 1318802411},
    {"  17.10.2011 00:00:11\n", 1318802411},
    {"17.10.2011 00:00", 1318802400},
    {"17.10.2011  00:00 ", 1318802400},
    {"29.02.2012 12:00:00", 1330513200},
    {"01.01.1970 01:00:00", 0},
};

static const char *const BAD[] = {
    "",
    "yesterday",
    "17.10.2011",
    "17.10.2011 00:00:11 junk",
    "17.10.2011 00:00junk",
    "17.10.2011 00:00:",
    "2011-10-17 00:00:11",
    "31.02.2011 00:00:00",
    "29.02.2011 00:00:00",
    "32.01.2011 00:00:00",
    "00.01.2011 00:00:00",
    "01.13.2011 00:00:00",
    "01.00.2011 00:00:00",
    "01.01.0000 00:00:00",
    "01.01.1969 00:00:00",
    "17.10.2011 24:00:00",
    "17.10.2011 00:60:00",
    "17.10.2011 00:00:61",
    "-1.10.2011 00:00:00",
    "17.10.2011 00:00:-1",
    "17.10.2011 00:00:11                                                              .",
};

static void
test_times(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        time_t moment = -1;

        if (!time_read(&moment, GOOD[i].text, strlen(GOOD[i].text)))
            fail_msg("refused: %s", GOOD[i].text);
        assert_int_equal(moment, GOOD[i].expected);
    }
}

static void
test_impossible_times(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        time_t moment;

        if (time_read(&moment, BAD[i], strlen(BAD[i])))
            fail_msg("accepted: %s", BAD[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_impossible_times),
    };

    setenv("TZ", "Europe/Warsaw", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
