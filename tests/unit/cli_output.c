#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/json.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/table.h"

static void
times_have_an_offset(void **state)
{
    char text[64];

    (void)state;
    setenv("TZ", "XYZ-5:30", 1);
    tzset();
    assert_string_equal(output_time(text, sizeof(text), 1318802411), "2011-10-17T03:30:11+05:30");
    setenv("TZ", "XYZ+1", 1);
    tzset();
    assert_string_equal(output_time(text, sizeof(text), 1318802411), "2011-10-16T21:00:11-01:00");
}

static void
ages_are_for_people(void **state)
{
    static const struct {
        unsigned long long milliseconds;
        const char *text;
    } AGES[] = {{0, "0s"}, {59999, "59s"}, {60000, "1m 0s"}, {3599000, "59m 59s"},
        {3600000, "1h 0m"}, {86399000, "23h 59m"}, {90000000, "1d 1h"}};
    char text[64];

    (void)state;
    for (size_t i = 0; i < sizeof(AGES) / sizeof(AGES[0]); i++)
        assert_string_equal(output_age(text, sizeof(text), AGES[i].milliseconds), AGES[i].text);
}

static void
text_is_escaped_in_parts(void **state)
{
    char written[8192];
    char text[1024];
    FILE *file = fmemopen(written, sizeof(written), "w");

    (void)state;
    /* Two octets a character, off by one, so that some part would cut one in the middle. */
    strcpy(text, "x");
    while (strlen(text) < 900)
        strcat(text, "ż");
    strcat(text, "\n\\");
    output_text(file, text);
    fclose(file);
    text[strlen(text) - 2] = '\0';
    assert_memory_equal(written, text, strlen(text));
    assert_string_equal(written + strlen(text), "\\012\\\\");
}

static void
json_is_utf8(void **state)
{
    json_t *value = json_of_text("a\377b");

    (void)state;
    assert_string_equal(json_string_value(value), "a\\377b");
    json_decref(value);
    value = json_of_text("Zażółć\n");
    assert_string_equal(json_string_value(value), "Zażółć\n");
    json_decref(value);
    assert_true(json_is_null(json_of_optional("")));
    assert_true(json_is_null(json_of_time(0)));
}

static void
the_bar_fits_its_line(void **state)
{
    const struct progress half = {8, 3, 1, 0, 0};
    const struct progress over = {1, 5, 0, 0, 0};
    const struct progress none = {0, 0, 0, 0, 0};
    char line[PROGRESS_LINE_SIZE];

    (void)state;
    progress_line(line, sizeof(line), &half, 48);
    assert_string_equal(line, "[#####.....] 4/8: 3 sent, 1 deferred, 0 dropped");
    for (unsigned width = 0; width < 300; width++) {
        progress_line(line, sizeof(line), &half, width);
        assert_true(width == 0 || strlen(line) < width);
    }
    assert_null(strchr(progress_line(line, sizeof(line), &over, 80), '.'));
    assert_null(strchr(progress_line(line, sizeof(line), &none, 80), '#'));
}

static void
columns_are_aligned(void **state)
{
    static const struct column COLUMNS[] = {{"name", "name", COLUMN_TEXT},
        {"count", "count", COLUMN_NUMBER}, {"age", "up", COLUMN_AGE},
        {"words", "words", COLUMN_TEXT}, {NULL, NULL, COLUMN_TEXT}};
    char written[1024] = "";
    FILE *file = fmemopen(written, sizeof(written), "w");
    json_t *rows = json_pack("[{s:s,s:i,s:f,s:s},{s:s,s:i,s:n,s:s}]", "name", "żółw", "count", 7,
        "age", 61.5, "words", "a\tb", "name", "x", "count", 123456, "age", "words", "");

    (void)state;
    table_print(file, COLUMNS, rows);
    fclose(file);
    json_decref(rows);
    assert_string_equal(written, "name   count     up  words\n"
                                 "żółw       7  1m 1s  a\\011b\n"
                                 "x     123456      -  \n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_have_an_offset),
        cmocka_unit_test(ages_are_for_people),
        cmocka_unit_test(text_is_escaped_in_parts),
        cmocka_unit_test(json_is_utf8),
        cmocka_unit_test(the_bar_fits_its_line),
        cmocka_unit_test(columns_are_aligned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
