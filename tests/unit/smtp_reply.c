#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/reply.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OCTETS(text) text, sizeof(text) - 1

static const struct {
    const char *octets;
    size_t length;
    enum reply_progress progress;
    unsigned code;
    struct enhanced_code enhanced;
    const char *words;
} CASES[] = {
    {OCTETS("250 2.0.0 Ok: queued as 4F1A2\r\n"), REPLY_COMPLETE, 250, {2, 0, 0},
        "250 2.0.0 Ok: queued as 4F1A2"},
    {OCTETS("354 go on\r\n"), REPLY_COMPLETE, 354, {0, 0, 0}, "354 go on"},
    {OCTETS("250\r\n"), REPLY_COMPLETE, 250, {0, 0, 0}, "250"},
    {OCTETS("250 \r\n"), REPLY_COMPLETE, 250, {0, 0, 0}, "250"},
    {OCTETS("550 5.1.1\r\n"), REPLY_COMPLETE, 550, {5, 1, 1}, "550 5.1.1"},
    /* A bare LF, and more CRs than needed. */
    {OCTETS("250 ok\n"), REPLY_COMPLETE, 250, {0, 0, 0}, "250 ok"},
    {OCTETS("250 ok\r\r\n"), REPLY_COMPLETE, 250, {0, 0, 0}, "250 ok"},
    /* Several lines. */
    {OCTETS("550-5.7.1 We do not\r\n550-5.7.1 like you,\r\n550 5.7.1 sorry\r\n"), REPLY_COMPLETE,
        550, {5, 7, 1}, "550 5.7.1 We do not like you, sorry"},
    {OCTETS("250-one\r\n250-\r\n250 three\r\n"), REPLY_COMPLETE, 250, {0, 0, 0}, "250 one three"},
    {OCTETS("550-no\r\n550 5.1.1 such user\r\n"), REPLY_COMPLETE, 550, {5, 1, 1},
        "550 no 5.1.1 such user"},
    {OCTETS("550-5.1.1 a\r\n550 5.7.1 b\r\n"), REPLY_COMPLETE, 550, {5, 1, 1},
        "550 5.1.1 a 5.7.1 b"},
    /* Codes that differ: the last counts where the kind is the same. */
    {OCTETS("550-a\r\n554 b\r\n"), REPLY_COMPLETE, 554, {0, 0, 0}, "554 a b"},
    {OCTETS("250-a\r\n550 b\r\n"), REPLY_BROKEN, 0, {0, 0, 0}, NULL},
    {OCTETS("550-a\r\n250 b\r\n"), REPLY_BROKEN, 0, {0, 0, 0}, NULL},
    /* An enhanced code of another class says nothing. */
    {OCTETS("550 2.0.0 hm\r\n"), REPLY_COMPLETE, 550, {0, 0, 0}, "550 2.0.0 hm"},
    {OCTETS("250 192.0.2.1 welcome\r\n"), REPLY_COMPLETE, 250, {0, 0, 0}, "250 192.0.2.1 welcome"},
    /* NUL, control characters and what is no UTF-8 stay within the words. */
    {OCTETS("250 a\0b\r\n"), REPLY_COMPLETE, 250, {0, 0, 0}, "250 a?b"},
    {OCTETS("250 a\rb\x1b\xff\r\n"), REPLY_COMPLETE, 250, {0, 0, 0}, "250 a\rb\x1b\xff"},
    /* What is no reply. */
    {OCTETS("\r\n"), REPLY_BROKEN, 0, {0, 0, 0}, NULL},
    {OCTETS("hello\r\n"), REPLY_BROKEN, 0, {0, 0, 0}, NULL},
    {OCTETS("25\r\n"), REPLY_BROKEN, 0, {0, 0, 0}, NULL},
    {OCTETS("2500\r\n"), REPLY_BROKEN, 0, {0, 0, 0}, NULL},
    {OCTETS("250_ok\r\n"), REPLY_BROKEN, 0, {0, 0, 0}, NULL},
    {OCTETS("150 ok\r\n"), REPLY_BROKEN, 0, {0, 0, 0}, NULL},
    {OCTETS("600 ok\r\n"), REPLY_BROKEN, 0, {0, 0, 0}, NULL},
    {OCTETS("2\0000 ok\r\n"), REPLY_BROKEN, 0, {0, 0, 0}, NULL},
    {OCTETS("\0\0\0\r\n"), REPLY_BROKEN, 0, {0, 0, 0}, NULL},
    {OCTETS("250-a\r\nb\r\n250 c\r\n"), REPLY_BROKEN, 0, {0, 0, 0}, NULL},
    /* What has no end yet. */
    {OCTETS(""), REPLY_MORE, 0, {0, 0, 0}, NULL},
    {OCTETS("250 ok\r"), REPLY_MORE, 0, {0, 0, 0}, NULL},
    {OCTETS("250-ok\r\n"), REPLY_MORE, 0, {0, 0, 0}, NULL},
};

static void
check(size_t at, const struct reply_reader *reader, enum reply_progress progress, size_t used)
{
    if (progress != CASES[at].progress)
        fail_msg("case %zu ends with %d", at, (int)progress);
    if (progress == REPLY_BROKEN) {
        assert_non_null(reader->problem);
        return;
    }
    assert_int_equal(used, CASES[at].length);
    if (progress != REPLY_COMPLETE)
        return;
    assert_int_equal(reader->reply.code, CASES[at].code);
    assert_int_equal(reader->reply.enhanced.class, CASES[at].enhanced.class);
    assert_int_equal(reader->reply.enhanced.subject, CASES[at].enhanced.subject);
    assert_int_equal(reader->reply.enhanced.detail, CASES[at].enhanced.detail);
    assert_string_equal(reader->reply.words, CASES[at].words);
    assert_int_equal(reader->reply.length, strlen(CASES[at].words));
}

static void
replies_are_read_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct reply_reader reader;
        enum reply_progress progress;
        size_t used;

        reply_reader_init(&reader);
        progress = reply_read(&reader, CASES[i].octets, CASES[i].length, &used);
        check(i, &reader, progress, used);
    }
}

static void
replies_are_read_octet_by_octet(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct reply_reader reader;
        enum reply_progress progress = REPLY_MORE;
        size_t total = 0;

        reply_reader_init(&reader);
        while (total < CASES[i].length && progress == REPLY_MORE) {
            size_t used;

            progress = reply_read(&reader, CASES[i].octets + total, 1, &used);
            total += used;
        }
        check(i, &reader, progress, total);
    }
}

static void
one_call_takes_one_reply(void **state)
{
    static const char OCTETS[] = "250-a\r\n250 b\r\n550 5.1.1 c\r\n354 ";
    struct reply_reader reader;
    size_t used;
    size_t at = 0;

    (void)state;
    reply_reader_init(&reader);
    assert_int_equal(reply_read(&reader, OCTETS, sizeof(OCTETS) - 1, &used), REPLY_COMPLETE);
    assert_string_equal(reader.reply.words, "250 a b");
    at += used;
    assert_int_equal(
        reply_read(&reader, OCTETS + at, sizeof(OCTETS) - 1 - at, &used), REPLY_COMPLETE);
    assert_string_equal(reader.reply.words, "550 5.1.1 c");
    at += used;
    assert_int_equal(reply_read(&reader, OCTETS + at, sizeof(OCTETS) - 1 - at, &used), REPLY_MORE);
    assert_int_equal(reply_read(&reader, "go\r\n", 4, &used), REPLY_COMPLETE);
    assert_string_equal(reader.reply.words, "354 go");
    assert_int_equal(reader.reply.enhanced.class, 0);
}

/* LENGTH octets of "250-xx…CRLF" lines of WIDTH octets each, then an end. */
static char *
long_reply(size_t length, size_t width)
{
    char *octets = malloc(length);

    assert_non_null(octets);
    memset(octets, 'x', length);
    for (size_t at = 0; at + width <= length; at += width) {
        memcpy(octets + at, "250-", 4);
        memcpy(octets + at + width - 2, "\r\n", 2);
    }
    memcpy(octets + length - width, "250 ", 4);
    return octets;
}

static void
long_replies_are_read_up_to_64_kb(void **state)
{
    static const size_t widths[] = {16, 64, 1024, 8192, 65536};
    struct reply_reader reader;
    size_t used;

    (void)state;
    for (size_t i = 0; i < COUNT(widths); i++) {
        char *octets = long_reply(65536, widths[i]);

        reply_reader_init(&reader);
        assert_int_equal(reply_read(&reader, octets, 65536, &used), REPLY_COMPLETE);
        assert_int_equal(used, 65536);
        assert_int_equal(reader.reply.code, 250);
        assert_int_equal(reader.reply.length, REPLY_WORDS_SIZE - 1);
        assert_int_equal(strlen(reader.reply.words), REPLY_WORDS_SIZE - 1);
        free(octets);
    }
}

/* A CR where it is cut may look like a part of the line's end, which it is not. */
static void
a_long_line_is_cut_alike_in_pieces(void **state)
{
    char *octets = long_reply(REPLY_WORDS_SIZE * 2, REPLY_WORDS_SIZE * 2);
    struct reply_reader whole;
    struct reply_reader pieces;
    size_t used;

    (void)state;
    memset(octets + 4, ' ', 100); /* which are left out, so that the words have room for more */
    octets[REPLY_WORDS_SIZE - 1] = '\r';
    reply_reader_init(&whole);
    reply_reader_init(&pieces);
    assert_int_equal(reply_read(&whole, octets, REPLY_WORDS_SIZE * 2, &used), REPLY_COMPLETE);
    for (size_t at = 0; at < REPLY_WORDS_SIZE * 2 - 1; at++)
        assert_int_equal(reply_read(&pieces, octets + at, 1, &used), REPLY_MORE);
    assert_int_equal(
        reply_read(&pieces, octets + REPLY_WORDS_SIZE * 2 - 1, 1, &used), REPLY_COMPLETE);
    assert_string_equal(whole.reply.words, pieces.reply.words);
    free(octets);
}

static void
a_reply_without_end_is_given_up(void **state)
{
    static const char *const parts[] = {"250-all is well\r\n", "250-", "x"};

    (void)state;
    for (size_t i = 0; i < COUNT(parts); i++) {
        struct reply_reader reader;
        enum reply_progress progress;
        size_t total = 0;
        size_t used;

        reply_reader_init(&reader);
        do {
            progress = reply_read(&reader, parts[i], strlen(parts[i]), &used);
            total += used;
            assert_true(total <= 65536);
        } while (progress == REPLY_MORE);
        assert_int_equal(progress, REPLY_BROKEN);
        assert_non_null(strstr(reader.problem, "64 KB"));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_read_at_once),
        cmocka_unit_test(replies_are_read_octet_by_octet),
        cmocka_unit_test(one_call_takes_one_reply),
        cmocka_unit_test(long_replies_are_read_up_to_64_kb),
        cmocka_unit_test(a_long_line_is_cut_alike_in_pieces),
        cmocka_unit_test(a_reply_without_end_is_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
