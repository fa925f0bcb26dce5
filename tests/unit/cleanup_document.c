#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cleanup/document.h"
#include "cleanup/encoding.h"
#include "cleanup/markup.h"
#include "cleanup/output.h"

#define ITEM                                                                                       \
    "<item><fld_time>17.10.2011 00:00:11</fld_time><fld_sender>foo@example.com</fld_sender>"       \
    "<fld_address>boo@example.com</fld_address><fld_topic>Upomnienie</fld_topic>"                  \
    "<fld_content>Text</fld_content></item>"
#define LARGEST (64U << 20)

static struct document *document;
static struct output text;

static int
set_up(void **state)
{
    struct error error;

    (void)state;
    document = document_new();
    return encoding_open_all(&error) ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    document_free(document);
    output_release(&text);
    encoding_close_all();
    return 0;
}

static void
expect(enum document_result expected, const char *bytes, size_t length, const char *reason)
{
    struct error error = {0};
    enum document_result result = document_parse(document, bytes, length, &error);

    if (result != expected || strstr(error.text, reason) == NULL)
        fail_msg("%.60s: result %d, expected %d; \"%s\", expected \"%s\"", bytes, (int)result,
            (int)expected, error.text, reason);
}

static void
expect_text(enum document_result expected, const char *xml, const char *reason)
{
    expect(expected, xml, strlen(xml), reason);
}

/* The first field of that kind in the item; fails where it has none. */
static const char *
field_of(size_t item, enum item_field field)
{
    for (size_t i = 0; i < document_fields(document, item); i++) {
        struct item_text found = document_field(document, item, i);

        assert_int_equal(strlen(found.text), found.length);
        if (found.field == field)
            return found.text;
    }
    fail_msg("no %s", item_field_name(field));
    return NULL;
}

static void
test_one_mail(void **state)
{
    (void)state;
    expect_text(DOCUMENT_PARSED,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<list>\n\t<item>\n"
        "\t\t<fld_time>17.10.2011 00:00:11</fld_time>\n"
        "\t\t<fld_sender>foo@example.com</fld_sender>\n"
        "\t\t<fld_address>boo@hisorhermail.com</fld_address>\n"
        "\t\t<fld_topic>Upomnienie</fld_topic>\n"
        "\t\t<fld_content>Prosimy o niezw\xC5\x82oczny zwrot ...</fld_content>\n"
        "\t</item>\n</list>\n",
        "");
    assert_int_equal(document_items(document), 1);
    assert_int_equal(document_fields(document, 0), 5);
    assert_string_equal(field_of(0, ITEM_TIME), "17.10.2011 00:00:11");
    assert_string_equal(field_of(0, ITEM_SENDER), "foo@example.com");
    assert_string_equal(field_of(0, ITEM_ADDRESS), "boo@hisorhermail.com");
    assert_string_equal(field_of(0, ITEM_TOPIC), "Upomnienie");
    assert_string_equal(field_of(0, ITEM_CONTENT), "Prosimy o niezw\xC5\x82oczny zwrot ...");
}

static void
test_texts_of_fields(void **state)
{
    (void)state;
    expect_text(DOCUMENT_PARSED,
        "<list><!-- c --><item a='>'>stray<unknown><fld_topic>no</fld_topic></unknown>"
        "<fld_topic>a&amp;b&lt;<![CDATA[<c>]]>&#x17C;<!-- x --><b>d</b><?pi?>\r\ne</fld_topic>"
        "</item></list>",
        "");
    assert_int_equal(document_fields(document, 0), 1);
    assert_string_equal(field_of(0, ITEM_TOPIC), "a&b<<c>\xC5\xBC"
                                                 "d\ne");
}

static void
test_namespaces_are_not_ours(void **state)
{
    (void)state;
    expect_text(DOCUMENT_PARSED,
        "<list xmlns:x='urn:x'><item><x:fld_topic>a</x:fld_topic><y:fld_topic>b</y:fld_topic>"
        "<fld_topic>c</fld_topic></item></list>",
        "");
    assert_int_equal(document_fields(document, 0), 1);
    assert_string_equal(field_of(0, ITEM_TOPIC), "c");
    expect_text(DOCUMENT_INVALID, "<list xmlns='urn:x'>" ITEM "</list>", "not <list>");
}

static void
test_lists(void **state)
{
    (void)state;
    expect_text(DOCUMENT_PARSED,
        "<list>" ITEM "<item/><other>" ITEM "</other><item><fld_topic/><fld_topic>2</fld_topic>"
        "</item></list>",
        "");
    assert_int_equal(document_items(document), 3);
    assert_int_equal(document_fields(document, 1), 0);
    assert_int_equal(document_fields(document, 2), 2);
    assert_string_equal(document_field(document, 2, 0).text, "");
    assert_string_equal(document_field(document, 2, 1).text, "2");
    expect_text(DOCUMENT_PARSED, "<list>" ITEM "</list>", "");
    assert_int_equal(document_items(document), 1);
}

static const struct {
    enum document_result result;
    const char *xml;
    const char *reason;
} OTHERS[] = {
    {DOCUMENT_INVALID, "<list/>", "holds no mail"},
    {DOCUMENT_INVALID, "<list>\n</list>", "holds no mail"},
    {DOCUMENT_INVALID, "<mails>" ITEM "</mails>", "not <list>"},
    {DOCUMENT_INVALID, ITEM, "not <list>"},
    {DOCUMENT_UNPARSABLE, "", "empty"},
    {DOCUMENT_UNPARSABLE, " \n ", "empty"},
    {DOCUMENT_UNPARSABLE, "hello", "not XML"},
    {DOCUMENT_UNPARSABLE, "<", "line 1"},
    {DOCUMENT_UNPARSABLE, "<?xml version='1.0'", "line 1"},
    {DOCUMENT_UNPARSABLE, "<list>" ITEM, "the end of the document is missing"},
    {DOCUMENT_UNPARSABLE, "<list>" ITEM "</lis", "not well-formed: "},
    {DOCUMENT_UNPARSABLE, "<list>" ITEM "</list>junk", "not well-formed: "},
    {DOCUMENT_UNPARSABLE, "<list>\n\n<item></list>", "line 3: not well-formed: "},
    {DOCUMENT_UNPARSABLE, "<list><item><fld_topic>&unknown;</fld_topic></item></list>", "unknown"},
    {DOCUMENT_UNPARSABLE, "<list><item>&#0;</item></list>", "not well-formed"},
    {DOCUMENT_UNPARSABLE, "<list><item>\x01</item></list>", "not well-formed"},
    {DOCUMENT_UNPARSABLE, "<list><item>\xC5\xBC \xC5</item></list>", "not well-formed"},
    {DOCUMENT_UNPARSABLE, "<list><!-- ", "not well-formed"},
    {DOCUMENT_UNPARSABLE, "<list><![CDATA[ ", "not well-formed"},
    {DOCUMENT_UNPARSABLE, "<list a='", "not well-formed"},
};

static void
test_other_results(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++)
        expect_text(OTHERS[i].result, OTHERS[i].xml, OTHERS[i].reason);
}

/* Half a file never passes for a whole one, nor for one that can be thrown away. */
static void
test_every_beginning_is_unparsable(void **state)
{
    static const char XML[] =
        "<?xml version=\"1.0\" encoding=\"ISO-8859-2\"?>\n<!-- c --><list>" ITEM
        "<item><![CDATA[x]]>\xB3&lt;</item><?p i?></list>";

    (void)state;
    for (size_t length = 0; length < sizeof(XML) - 1; length++)
        expect(DOCUMENT_UNPARSABLE, XML, length, "");
    expect(DOCUMENT_PARSED, XML, sizeof(XML) - 1, "");
}

static void
test_document_types(void **state)
{
    (void)state;
    expect_text(DOCUMENT_INVALID,
        "<!DOCTYPE list [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><list>&e;</list>", "DTD");
    expect_text(
        DOCUMENT_INVALID, "\n\n<!DOCTYPE list SYSTEM 'http://127.0.0.1/'><list/>", "line 3");
    expect_text(DOCUMENT_INVALID,
        "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY a 'lol'><!ENTITY b '&a;&a;&a;&a;&a;'>"
        "<!ENTITY c '&b;&b;&b;&b;&b;'>]><list>&c;</list>",
        "DTD");
}

static void
test_encodings(void **state)
{
    static const struct {
        const char *xml;
        size_t length;
    } FILES[] = {
#define FILE_OF(xml) {xml, sizeof(xml) - 1}
        FILE_OF("<?xml version='1.0' encoding='windows-1250'?>"
                "<list><item><fld_topic>\xBF\xF3\xB3\x9C</fld_topic></item></list>"),
        FILE_OF("<?xml version=\"1.0\" encoding = \"Windows-1250\" standalone='yes'?>"
                "<list><item><fld_topic>\xBF\xF3\xB3\x9C</fld_topic></item></list>"),
        FILE_OF("<?xml version='1.0' encoding='iso-8859-2'?>"
                "<list><item><fld_topic>\xBF\xF3\xB3\xB6</fld_topic></item></list>"),
        FILE_OF(
            "<?xml version='1.0' encoding='utf-8'?>"
            "<list><item><fld_topic>\xC5\xBC\xC3\xB3\xC5\x82\xC5\x9B</fld_topic></item></list>"),
        FILE_OF(
            "\xEF\xBB\xBF<?xml version='1.0'?>"
            "<list><item><fld_topic>\xC5\xBC\xC3\xB3\xC5\x82\xC5\x9B</fld_topic></item></list>"),
        FILE_OF("<?xml version='1.0' encoding='US-ASCII'?>"
                "<list><item><fld_topic>&#x17C;&#xF3;&#x142;&#x15B;</fld_topic></item></list>"),
        FILE_OF("<?xml version='1.0' encoding='ISO-8859-1'?>"
                "<list><item><fld_topic>&#x17C;\xF3&#x142;&#x15B;</fld_topic></item></list>"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(FILES) / sizeof(FILES[0]); i++) {
        expect(DOCUMENT_PARSED, FILES[i].xml, FILES[i].length, "");
        assert_string_equal(field_of(0, ITEM_TOPIC), "\xC5\xBC\xC3\xB3\xC5\x82\xC5\x9B");
    }
}

/* Puts XML, in ASCII, into TEXT as UTF-16; '~' stands for U+017C. */
static void
make_utf16(const char *xml, bool big_endian, bool mark)
{
    output_clear(&text);
    if (mark)
        output_bytes(&text, big_endian ? "\xFE\xFF" : "\xFF\xFE", 2);
    for (; *xml != '\0'; xml++) {
        char high = *xml == '~' ? 0x01 : 0x00;
        char low = *xml == '~' ? 0x7C : *xml;

        output_bytes(&text, big_endian ? &high : &low, 1);
        output_bytes(&text, big_endian ? &low : &high, 1);
    }
}

static void
test_utf16(void **state)
{
    static const char XML[] = "<?xml version='1.0' encoding='UTF-16'?>"
                              "<list><item><fld_topic>~</fld_topic></item></list>";

    (void)state;
    for (int i = 0; i < 4; i++) {
        make_utf16(XML, (i & 1) != 0, (i & 2) != 0);
        expect(DOCUMENT_PARSED, text.data, text.used, "");
        assert_string_equal(field_of(0, ITEM_TOPIC), "\xC5\xBC");
        expect(DOCUMENT_UNPARSABLE, text.data, text.used - 1, "the end is missing");
    }
    make_utf16("<!DOCTYPE list><list/>", false, true);
    expect(DOCUMENT_INVALID, text.data, text.used, "DTD");
    expect(DOCUMENT_UNPARSABLE, "\xFF\xFE<\0\0\xDC>\0", 8, "not UTF-16LE");
}

static void
test_refused_encodings(void **state)
{
    (void)state;
    expect_text(DOCUMENT_INVALID,
        "<?xml version='1.0' encoding='UTF-7'?><list>+ADw-item+AD4-</list>", "\"UTF-7\"");
    expect_text(DOCUMENT_INVALID, "<?xml version='1.0' encoding='EBCDIC-CP-US'?><list/>", "EBCDIC");
    expect_text(DOCUMENT_INVALID, "<?xml version='1.0' encoding='UTF-16'?><list/>", "UTF-16");
    expect_text(DOCUMENT_INVALID, "<?xml version='1.0' encoding='x\x01'?><list/>", "\"x\\001\"");
    expect_text(DOCUMENT_UNPARSABLE,
        "<?xml version='1.0' encoding='US-ASCII'?><list>\xC5\xBC</list>", "not US-ASCII");
    expect_text(DOCUMENT_UNPARSABLE,
        "<?xml version='1.0' encoding='windows-1250'?><list>\x81</list>", "not CP1250");
    expect_text(DOCUMENT_UNPARSABLE,
        "<list><item><fld_topic><![CDATA[\xC1\xA4]]></fld_topic></item></list>", "octet 33");
    expect(DOCUMENT_UNPARSABLE, "<list>\0</list>", 14, "NUL");
    expect(DOCUMENT_UNPARSABLE, "\0\0\0\0", 4, "NUL");
    expect(DOCUMENT_UNPARSABLE, "\xFF\xFE\0\0<\0\0\0", 8, "NUL");
}

static void
repeat(const char *part, size_t count)
{
    for (size_t i = 0; i < count; i++)
        output_text(&text, part);
}

static void
test_depth(void **state)
{
    (void)state;
    output_clear(&text);
    output_text(&text, "<list>");
    repeat("<a>", 100000);
    expect(DOCUMENT_INVALID, text.data, text.used, "too deep");
    output_clear(&text);
    output_text(&text, "<list>" ITEM);
    repeat("<a>", 15);
    repeat("</a>", 15);
    output_text(&text, "</list>");
    expect(DOCUMENT_PARSED, text.data, text.used, "");
}

static void
test_many_items(void **state)
{
    (void)state;
    output_clear(&text);
    output_text(&text, "<list>");
    repeat("<item/>", DOCUMENT_ITEMS_MAX);
    output_text(&text, "</list>");
    expect(DOCUMENT_PARSED, text.data, text.used, "");
    assert_int_equal(document_items(document), DOCUMENT_ITEMS_MAX);
    text.used -= strlen("</list>");
    output_text(&text, "<item/></list>");
    expect(DOCUMENT_INVALID, text.data, text.used, "too many items");
    expect_text(DOCUMENT_PARSED, "<list>" ITEM "</list>", "");
}

static void
test_long_tags(void **state)
{
    (void)state;
    output_clear(&text);
    output_text(&text, "<list>\n<item ");
    for (int i = 0; i < 100000; i++)
        output_format(&text, "a%d='>' ", i);
    output_text(&text, "/></list>");
    expect(DOCUMENT_INVALID, text.data, text.used, "line 2: a tag of more than");
    output_clear(&text);
    output_text(&text, "<list><");
    repeat("aaaaaaaaaa", 100000);
    expect(DOCUMENT_INVALID, text.data, text.used, "a tag of more than");
    output_clear(&text);
    output_text(&text, "<list><?");
    repeat("aaaaaaaaaa", 100000);
    output_text(&text, "?></list>");
    expect(DOCUMENT_INVALID, text.data, text.used, "a tag of more than");
    output_clear(&text);
    output_text(&text, "<list><item a=\"");
    repeat("aaaaaaaaaa", 200);
    output_text(&text, "\">" ITEM "</item></list>");
    expect(DOCUMENT_PARSED, text.data, text.used, "");
}

static void
test_large_contents(void **state)
{
    static const char *const PARTS[] = {"0123456789", "\xC5\xBC\xE2\x82\xAC&amp;\n", "a]b>c\r\n"};
    static const size_t LENGTHS[] = {10, 7, 6};

    (void)state;
    for (size_t i = 0; i < sizeof(PARTS) / sizeof(PARTS[0]); i++) {
        output_clear(&text);
        output_text(&text, "<list><item><fld_content>");
        repeat(PARTS[i], 2000000);
        output_text(&text, "</fld_content></item></list>");
        expect(DOCUMENT_PARSED, text.data, text.used, "");
        assert_int_equal(strlen(field_of(0, ITEM_CONTENT)), LENGTHS[i] * 2000000);
    }
}

static void
test_large_sections(void **state)
{
    (void)state;
    output_clear(&text);
    output_text(&text, "<list><!--");
    repeat(" \xC5\xBC <item> ", 500000);
    output_text(&text, "--><item><fld_content><![CDATA[");
    repeat("\xC5\xBC<x>\xE2\x82\xAC", 1000000);
    output_text(&text, "]]></fld_content></item></list>");
    expect(DOCUMENT_PARSED, text.data, text.used, "");
    assert_int_equal(strlen(field_of(0, ITEM_CONTENT)), 8000000);
}

/* What was found to take seconds, or worse, must not take long here. */
static void
test_hostile_input_is_fast(void **state)
{
    struct timespec before;
    struct timespec after;
    struct output tag = {0};

    (void)state;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    output_clear(&text);
    output_text(&text, "<list>");
    output_text(&tag, "<x ");
    for (int i = 0; tag.used < MARKUP_TAG_MAX - 10; i++)
        output_format(&tag, "%c%d='' ", 'a' + i % 26, i);
    output_bytes(&tag, "/>", sizeof("/>"));
    repeat(tag.data, 4000);
    output_text(&text, ITEM "</list>");
    expect(DOCUMENT_PARSED, text.data, text.used, "");
    output_release(&tag);
    output_clear(&text);
    output_text(&text, "<list>");
    repeat("\x80\x80\x80\x80", 1000000);
    expect(DOCUMENT_UNPARSABLE, text.data, text.used, "not well-formed");
    output_clear(&text);
    output_text(&text, "<list>");
    repeat("<!-- <a> --><p:x xmlns:q='u'/>&amp;", 100000);
    output_text(&text, ITEM "</list>");
    expect(DOCUMENT_PARSED, text.data, text.used, "");
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    assert_true(after.tv_sec - before.tv_sec < 10);
}

static int
file_of(const char *bytes, size_t length)
{
    int descriptor = memfd_create("test", MFD_CLOEXEC);

    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, bytes, length), length);
    return descriptor;
}

static void
test_reading_files(void **state)
{
    static const char XML[] = "<list>" ITEM "</list>";
    struct error error;
    int descriptor = file_of(XML, sizeof(XML) - 1);
    int ends[2];

    (void)state;
    assert_int_equal(document_read(document, descriptor, LARGEST, &error), DOCUMENT_PARSED);
    assert_int_equal(document_read(document, descriptor, sizeof(XML) - 1, &error), DOCUMENT_PARSED);
    assert_int_equal(
        document_read(document, descriptor, sizeof(XML) - 2, &error), DOCUMENT_INVALID);
    assert_non_null(strstr(error.text, "max_message_size"));
    close(descriptor);
    assert_int_equal(document_read(document, descriptor, LARGEST, &error), DOCUMENT_UNREADABLE);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(document_read(document, ends[0], LARGEST, &error), DOCUMENT_UNREADABLE);
    close(ends[0]);
    close(ends[1]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_mail),
        cmocka_unit_test(test_texts_of_fields),
        cmocka_unit_test(test_namespaces_are_not_ours),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_other_results),
        cmocka_unit_test(test_every_beginning_is_unparsable),
        cmocka_unit_test(test_document_types),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_utf16),
        cmocka_unit_test(test_refused_encodings),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_many_items),
        cmocka_unit_test(test_long_tags),
        cmocka_unit_test(test_large_contents),
        cmocka_unit_test(test_large_sections),
        cmocka_unit_test(test_hostile_input_is_fast),
        cmocka_unit_test(test_reading_files),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
