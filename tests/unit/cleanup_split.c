#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cleanup/document.h"
#include "cleanup/split.h"

static void
parse(struct document *document, const char *bytes, size_t length)
{
    struct error error = {0};

    if (document_parse(document, bytes, length, &error) != DOCUMENT_PARSED)
        fail_msg("%s", error.text);
}

/* The document at *AT, which moves behind it. */
static size_t
next_document(const struct output *output, size_t *at)
{
    char *end;
    size_t length = strtoul(output->data + *at, &end, 10);

    assert_int_equal(*end, '\n');
    *at = (size_t)(end + 1 - output->data);
    assert_true(length <= output->used - *at);
    return length;
}

static void
compare_items(const struct document *list, size_t item, const struct document *single)
{
    assert_int_equal(document_items(single), 1);
    assert_int_equal(document_fields(single, 0), document_fields(list, item));
    for (size_t i = 0; i < document_fields(list, item); i++) {
        struct item_text expected = document_field(list, item, i);
        struct item_text found = document_field(single, 0, i);

        assert_int_equal(found.field, expected.field);
        assert_string_equal(found.text, expected.text);
    }
}

static void
check_split(const char *xml, size_t length, size_t items)
{
    struct document *list = document_new();
    struct document *single = document_new();
    struct output output = {0};
    size_t at = 0;

    parse(list, xml, length);
    assert_int_equal(document_items(list), items);
    split_write(&output, list);
    for (size_t item = 0; item < items; item++) {
        size_t size = next_document(&output, &at);

        parse(single, output.data + at, size);
        compare_items(list, item, single);
        at += size;
    }
    assert_int_equal(at, output.used);
    output_release(&output);
    document_free(list);
    document_free(single);
}

static void
test_items_come_back(void **state)
{
    static const char XML[] =
        "<list><item><fld_sender>not an "
        "address</fld_sender><fld_topic>a&lt;b&amp;]]&gt;</fld_topic>"
        "<fld_content>one\n&#13;two&#9; \xC5\xBC &#13;\n</fld_content></item><item/>"
        "<item><fld_address>a@b</fld_address><fld_address>c@d</fld_address><fld_time/></item>"
        "</list>";

    (void)state;
    check_split(XML, sizeof(XML) - 1, 3);
}

static void
test_ten_thousand_items(void **state)
{
    struct output xml = {0};
    struct timespec before;
    struct timespec after;

    (void)state;
    output_text(&xml, "<list>");
    for (int i = 0; i < 10000; i++)
        output_format(&xml,
            "<item><fld_address>a%d@example.com</fld_address><fld_content>%01000d</fld_content>"
            "</item>",
            i, i);
    output_text(&xml, "</list>");
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    check_split(xml.data, xml.used, 10000);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    assert_true(after.tv_sec - before.tv_sec < 3);
    output_release(&xml);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_come_back),
        cmocka_unit_test(test_ten_thousand_items),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
