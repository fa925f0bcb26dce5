#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/mark.h"

static void
what_one_sets_another_reads_after_its_death(void **state)
{
    struct error error;
    int descriptor;
    struct mark *mark = mark_create(&descriptor, &error);
    struct mark *other;
    pid_t child;

    (void)state;
    assert_non_null(mark);
    other = mark_open(descriptor, &error);
    assert_non_null(other);
    assert_int_equal(mark_get(other), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        mark_set(mark, UINT64_C(0x123456789ABCDEF0));
        abort();
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    mark_close(mark);
    assert_int_equal(mark_get(other), UINT64_C(0x123456789ABCDEF0));
    mark_close(other);
    close(descriptor);
}

static void
nothing_else_is_taken_for_one(void **state)
{
    struct error error;
    int file = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    (void)state;
    assert_int_equal(ftruncate(file, 8), 0);
    assert_null(mark_open(file, &error));
    assert_string_not_equal(error.text, "");
    assert_null(mark_open(STDIN_FILENO, &error));
    close(file);
    assert_int_equal(mark_get(NULL), 0);
    mark_close(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_sets_another_reads_after_its_death),
        cmocka_unit_test(nothing_else_is_taken_for_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
