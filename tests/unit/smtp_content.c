#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "smtp/content.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *content;
    const char *sent;
} CASES[] = {
    {"", ""},
    {"a\r\n", "a\r\n"},
    {"a", "a\r\n"},
    {"a\r\nb\r\n", "a\r\nb\r\n"},
    {"a\nb\n", "a\r\nb\r\n"},
    {"a\rb\r", "a\r\nb\r\n"},
    {"a\r\r\nb", "a\r\n\r\nb\r\n"},
    {"a\n\r\nb", "a\r\n\r\nb\r\n"},
    {"a\n\rb", "a\r\n\r\nb\r\n"},
    {"\r", "\r\n"},
    {"\n", "\r\n"},
    {"\r\n", "\r\n"},
    {"\n\n\n", "\r\n\r\n\r\n"},
    {".", "..\r\n"},
    {"..", "...\r\n"},
    {".\r\n", "..\r\n"},
    {"a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n"},
    {"a\r\n.", "a\r\n..\r\n"},
    {"a\n.\nb", "a\r\n..\r\nb\r\n"},
    {"a\r.\rb", "a\r\n..\r\nb\r\n"},
    {"a\r\n.\nMAIL FROM:<x>\n", "a\r\n..\r\nMAIL FROM:<x>\r\n"},
    {"a\n.\r\nMAIL FROM:<x>\r\n", "a\r\n..\r\nMAIL FROM:<x>\r\n"},
    {"a.\r\n.b.\r\n", "a.\r\n..b.\r\n"},
    {"..a\r\n", "...a\r\n"},
};

/* Everything of CONTENT, through a window of WINDOW octets. */
static char *
copy_all(const struct content *content, size_t window, size_t *length)
{
    static struct content_stream stream;
    enum content_progress progress = CONTENT_MORE;
    char *target = malloc((size_t)content->size * 3 + 100);
    size_t rounds = 0;

    assert_non_null(target);
    *length = 0;
    content_begin(&stream, content);
    while (progress == CONTENT_MORE) {
        char *octets = malloc(window); /* of its own, so that a sanitizer sees its bounds */
        size_t written;

        assert_non_null(octets);
        progress = content_copy(&stream, octets, window, &written);
        assert_true(written <= window);
        memcpy(target + *length, octets, written);
        *length += written;
        free(octets);
        assert_true(++rounds < content->size * 3 + 10);
    }
    assert_int_equal(progress, CONTENT_ENDED);
    return target;
}

static void
lines_and_dots_are_made_safe(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct content content = {
            .memory = CASES[i].content, .descriptor = -1, .size = strlen(CASES[i].content)};

        for (size_t window = 3; window < 40; window++) {
            size_t length;
            char *sent = copy_all(&content, window, &length);

            if (length != strlen(CASES[i].sent) || memcmp(sent, CASES[i].sent, length) != 0)
                fail_msg("case %zu with a window of %zu: \"%.*s\"", i, window, (int)length, sent);
            free(sent);
        }
    }
}

static int
memfd_of(const char *octets, size_t length)
{
    int descriptor = memfd_create("content", MFD_CLOEXEC);

    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, octets, length), (ssize_t)length);
    return descriptor;
}

/* Random octets out of a few, so that every meeting of CR, LF, dot and a chunk's edge comes up. */
static void
what_leaves_is_never_bare(void **state)
{
    static const char ALPHABET[] = "a.\r\n";
    const size_t size = CONTENT_CHUNK_SIZE * 2 + 77;
    char *octets = malloc(size);
    struct content content = {.size = size};
    size_t length;
    char *sent;

    (void)state;
    assert_non_null(octets);
    srandom(4711);
    for (size_t i = 0; i < size; i++)
        octets[i] = ALPHABET[random() % 4];
    content.descriptor = memfd_of(octets, size);
    sent = copy_all(&content, 1000, &length);
    for (size_t i = 0; i < length; i++) {
        if (sent[i] == '\n')
            assert_true(i > 0 && sent[i - 1] == '\r');
        if (sent[i] == '\r')
            assert_true(i + 1 < length && sent[i + 1] == '\n');
        if (sent[i] == '.' && (i == 0 || sent[i - 1] == '\n'))
            assert_true(i + 1 < length && sent[i + 1] == '.');
    }
    assert_memory_equal(sent + length - 2, "\r\n", 2);
    close(content.descriptor);
    free(sent);
    free(octets);
}

static void
memory_and_descriptor_give_the_same(void **state)
{
    const size_t size = CONTENT_CHUNK_SIZE * 3;
    char *octets = malloc(size);
    struct content mapped = {.memory = octets, .descriptor = -1, .size = size};
    struct content file = {.size = size};
    size_t lengths[2];
    char *sent[2];

    (void)state;
    assert_non_null(octets);
    for (size_t i = 0; i < size; i++)
        octets[i] = i % 70 == 68 ? '\r' : i % 70 == 69 ? '\n' : i % 70 == 0 ? '.' : 'x';
    file.descriptor = memfd_of(octets, size);
    sent[0] = copy_all(&mapped, 65536, &lengths[0]);
    sent[1] = copy_all(&file, 65536, &lengths[1]);
    assert_int_equal(lengths[0], lengths[1]);
    assert_memory_equal(sent[0], sent[1], lengths[0]);
    close(file.descriptor);
    free(sent[0]);
    free(sent[1]);
    free(octets);
}

static void
a_content_that_is_too_short_fails(void **state)
{
    static struct content_stream stream;
    struct content content = {.size = 10};
    char target[64];
    size_t written;

    (void)state;
    content.descriptor = memfd_of("hello", 5);
    content_begin(&stream, &content);
    assert_int_equal(content_copy(&stream, target, sizeof(target), &written), CONTENT_FAILED);
    close(content.descriptor);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_and_dots_are_made_safe),
        cmocka_unit_test(what_leaves_is_never_bare),
        cmocka_unit_test(memory_and_descriptor_give_the_same),
        cmocka_unit_test(a_content_that_is_too_short_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
