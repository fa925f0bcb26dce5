/*
 * The SQL that is made for a table: quoting, and what a table can be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "sql/array.h"
#include "sql/statement.h"

static char NASTY[] = "a\"b'c";
static char TYPE[] = "bigint";
static char SECTION[] = "s";

static struct table
nasty_table(void)
{
    return (struct table){.schema = NASTY, .name = NASTY, .key = NASTY, .key_type = TYPE};
}

static struct queue_settings
nasty_settings(void)
{
    return (struct queue_settings){.section = SECTION,
        .sid = SECTION,
        .table = NASTY,
        .time = NASTY,
        .sender = NASTY,
        .address = NASTY,
        .topic = NASTY,
        .content = NASTY,
        .status = NASTY};
}

/* True where every quote in TEXT is closed, by SQL's rules for names and literals. */
static bool
is_balanced(const char *text)
{
    char open = '\0';

    for (; *text != '\0'; text++) {
        if (open == '\0' && (*text == '"' || *text == '\''))
            open = *text;
        else if (*text == open && text[1] == open)
            text++;
        else if (*text == open)
            open = '\0';
    }
    return open == '\0';
}

static void
names_are_quoted(void **state)
{
    const struct table table = nasty_table();
    const struct queue_settings settings = nasty_settings();

    (void)state;
    for (int i = 0; i < STATEMENT_KINDS; i++) {
        char *text = statement_make((enum statement)i, &table, &settings);

        assert_null(strchr(text, '{'));
        assert_null(strstr(text, " a\"b"));
        assert_true(is_balanced(text));
        free(text);
    }
}

static void
init_quotes_what_it_makes(void **state)
{
    const struct table table = nasty_table();
    const struct queue_settings settings = nasty_settings();
    const char *what;
    char *text;
    size_t count = 0;

    (void)state;
    while ((text = statement_init(count, &table, &settings, &what)) != NULL) {
        assert_true(is_balanced(strstr(text, "--") == NULL ? text : ""));
        assert_true(strlen(what) > 0);
        free(text);
        count++;
    }
    assert_true(count > 5);
}

static void
arrays_escape_their_values(void **state)
{
    struct array array;
    char *text;

    (void)state;
    array_open(&array);
    array_add(&array, "a\"b\\c,{}");
    array_add(&array, NULL);
    array_add(&array, "");
    array_add_number(&array, -7);
    text = array_close(&array);
    assert_string_equal(text, "{\"a\\\"b\\\\c,{}\",NULL,\"\",-7}");
    free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_quoted),
        cmocka_unit_test(init_quotes_what_it_makes),
        cmocka_unit_test(arrays_escape_their_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
