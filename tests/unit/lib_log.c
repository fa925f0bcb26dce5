/* Lines that are kept until the end of a turn: none is lost, told twice, or out of its order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"

/* More than is kept. */
#define MANY 300
#define SIZE 65536

static int journal;

static int
open_journal(void **state)
{
    (void)state;
    journal = memfd_create("journal", MFD_CLOEXEC);
    assert_true(journal >= 0);
    log_open("test");
    log_redirect(fcntl(journal, F_DUPFD_CLOEXEC, 10), LOG_TARGET_FILE);
    return 0;
}

static int
close_journal(void **state)
{
    (void)state;
    log_release();
    return close(journal);
}

/* What was written so far. */
static const char *
written(void)
{
    static char text[SIZE];
    ssize_t length = pread(journal, text, sizeof(text) - 1, 0);

    assert_true(length >= 0);
    text[length] = '\0';
    return text;
}

static int
count(const char *words)
{
    int found = 0;

    for (const char *at = written(); (at = strstr(at, words)) != NULL; at++)
        found++;
    return found;
}

static void
a_turns_lines_leave_at_its_end(void **state)
{
    (void)state;
    log_info("before");
    assert_int_equal(count("before"), 1);
    log_hold();
    log_info("one");
    log_info("two");
    assert_int_equal(count("one"), 0);
    log_release();
    assert_true(strstr(strstr(written(), "one"), "two") != NULL);
    log_info("after");
    assert_int_equal(count("after"), 1);
}

static void
a_warning_leaves_at_once_behind_what_was_said_before(void **state)
{
    (void)state;
    log_hold();
    log_info("first");
    log_warn("second");
    assert_true(strstr(strstr(written(), "first"), "second") != NULL);
    log_release();
    assert_int_equal(count("first"), 1);
}

static void
many_lines_are_all_there(void **state)
{
    (void)state;
    log_hold();
    for (int i = 0; i < MANY; i++)
        log_info("line %03d of a program that says a lot in one turn of its event loop", i);
    assert_in_range(count("line "), 1, MANY - 1);
    log_release();
    assert_int_equal(count("line "), MANY);
}

static void
a_fork_tells_nothing_twice(void **state)
{
    int status;
    pid_t child;

    (void)state;
    log_hold();
    log_info("the parent's");
    child = fork();
    if (child == 0) {
        log_info("the child's");
        log_release();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    log_release();
    assert_int_equal(count("the parent's"), 1);
    assert_int_equal(count("the child's"), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_turns_lines_leave_at_its_end, open_journal, close_journal),
        cmocka_unit_test_setup_teardown(
            a_warning_leaves_at_once_behind_what_was_said_before, open_journal, close_journal),
        cmocka_unit_test_setup_teardown(many_lines_are_all_there, open_journal, close_journal),
        cmocka_unit_test_setup_teardown(a_fork_tells_nothing_twice, open_journal, close_journal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
