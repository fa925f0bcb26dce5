#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/text.h"

#include "cleanup/markup.h"
#include "cleanup/output.h"

static void
repeat(struct output *output, const char *part, size_t size)
{
    while (output->used < size)
        output_text(output, part);
}

/* The pieces of TEXT are all of it, and each is whole characters; returns how many there are. */
static size_t
check_pieces(const struct output *text)
{
    struct markup markup;
    struct error error = {0};
    const char *piece;
    size_t length;
    size_t given = 0;
    size_t count = 0;

    markup_start(&markup, text->data, text->used);
    for (;;) {
        if (!markup_next(&markup, &piece, &length, &error))
            fail_msg("%s", error.text);
        if (length == 0)
            break;
        assert_ptr_equal(piece, text->data + given);
        assert_true(length <= MARKUP_PIECE + MARKUP_TAG_MAX);
        assert_true(text_is_utf8(piece, length));
        given += length;
        count++;
    }
    assert_int_equal(given, text->used);
    assert_false(markup.unfinished);
    return count;
}

static void
test_pieces_are_whole_characters(void **state)
{
    static const char *const BEGINNINGS[] = {"", "<a>", "<!--", "<![CDATA[", "<a>x", "<a>xy"};

    (void)state;
    for (size_t i = 0; i < sizeof(BEGINNINGS) / sizeof(BEGINNINGS[0]); i++) {
        struct output text = {0};

        output_text(&text, BEGINNINGS[i]);
        repeat(&text, "\xF0\x9F\x98\x80", 5 * MARKUP_PIECE);
        assert_in_range(check_pieces(&text), 5, 6);
        output_release(&text);
    }
}

static void
test_tags_are_not_cut(void **state)
{
    static const char *const TAGS[] = {"<tag a='>' b=\">\"/>", "</tag>", "<?pi pi ?>"};

    (void)state;
    for (size_t i = 0; i < sizeof(TAGS) / sizeof(TAGS[0]); i++) {
        struct output text = {0};
        struct markup markup;
        struct error error;
        const char *piece;
        size_t length;

        repeat(&text, TAGS[i], 3 * MARKUP_PIECE);
        assert_in_range(check_pieces(&text), 3, 4);
        markup_start(&markup, text.data, text.used);
        while (markup_next(&markup, &piece, &length, &error) && length > 0)
            assert_int_equal(length % strlen(TAGS[i]), 0);
        output_release(&text);
    }
}

static void
test_octets_that_are_no_characters(void **state)
{
    struct output text = {0};
    struct markup markup;
    struct error error;
    const char *piece;
    size_t length;

    (void)state;
    repeat(&text, "\x80", 3 * MARKUP_PIECE);
    markup_start(&markup, text.data, text.used);
    while (markup_next(&markup, &piece, &length, &error) && length > 0)
        assert_true(length >= MARKUP_PIECE - 3 || piece + length == text.data + text.used);
    assert_int_equal(markup.given, text.used);
    output_release(&text);
}

static void
test_half_a_tag_is_kept_back(void **state)
{
    static const char TEXT[] = "<list>text<item a='";
    struct markup markup;
    struct error error;
    const char *piece;
    size_t length;

    (void)state;
    markup_start(&markup, TEXT, sizeof(TEXT) - 1);
    assert_true(markup_next(&markup, &piece, &length, &error));
    assert_int_equal(length, strlen("<list>text"));
    assert_true(markup.unfinished);
    assert_true(markup_next(&markup, &piece, &length, &error));
    assert_int_equal(length, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_whole_characters),
        cmocka_unit_test(test_tags_are_not_cut),
        cmocka_unit_test(test_octets_that_are_no_characters),
        cmocka_unit_test(test_half_a_tag_is_kept_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
