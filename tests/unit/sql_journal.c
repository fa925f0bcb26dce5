/*
 * The journal: what was not settled is there again, and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/memory.h"
#include "queue/queue.h"
#include "sql/journal.h"

static char directory[] = "/tmp/smailer-test-XXXXXX";

/* The journal is a process's, so each life of it is a process here. */
static void
live(void (*life)(void))
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        struct error error;

        _exit(journal_open(directory, "mails", &error) ? (life(), 0) : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void
require(bool condition)
{
    if (!condition)
        _exit(2);
}

static struct result *
append(const char *key)
{
    struct result *result = memory_new(1, sizeof(*result));

    *result = (struct result){.job = 1, .state = MAIL_SENT, .version = "-12"};
    result->key = memory_copy_text(key);
    result->stage = memory_copy_text("");
    result->reason = memory_copy_text("250 ok");
    result->id = memory_copy_text("id");
    journal_append(result);
    return result;
}

static size_t
count_left(struct result_list *left)
{
    const struct result *result;
    size_t count = 0;

    TAILQ_INIT(left);
    journal_read(left);
    TAILQ_FOREACH(result, left, next)
    count++;
    return count;
}

static void
writes_three_and_settles_one(void)
{
    struct result_list left;

    require(count_left(&left) == 0);
    append("one");
    journal_settle(append("two"));
    append("three");
    require(journal_needs_sync());
}

static void
finds_two(void)
{
    struct result_list left;
    const struct result *result;

    require(count_left(&left) == 2);
    result = TAILQ_FIRST(&left);
    require(strcmp(result->key, "one") == 0 && result->job == 0 && result->state == MAIL_SENT);
    require(strcmp(result->version, "-12") == 0 && strcmp(result->reason, "250 ok") == 0);
    require(strcmp(TAILQ_NEXT(result, next)->key, "three") == 0);
}

static void
finds_one(void)
{
    struct result_list left;

    require(count_left(&left) == 1);
    require(strcmp(TAILQ_FIRST(&left)->key, "one") == 0);
}

static void
appends_to_one(void)
{
    struct result_list left;

    require(count_left(&left) == 1);
    append("four");
}

static void
finds_one_and_four(void)
{
    struct result_list left;

    require(count_left(&left) == 2);
    require(strcmp(TAILQ_FIRST(&left)->key, "one") == 0);
    require(strcmp(TAILQ_NEXT(TAILQ_FIRST(&left), next)->key, "four") == 0);
}

static void
settles_all(void)
{
    struct result_list left;
    const struct result *result;

    require(count_left(&left) == 2);
    TAILQ_FOREACH(result, &left, next)
    journal_settle(result);
}

static void
finds_none(void)
{
    struct result_list left;

    require(count_left(&left) == 0);
}

/* More than the files hold before they take turns, one always being open. */
static void
writes_many(void)
{
    struct result_list left;
    struct result *last = NULL;
    char name[32];

    require(count_left(&left) == 0);
    for (int i = 0; i < 50000; i++) {
        struct result *result;

        snprintf(name, sizeof(name), "key %d", i);
        result = append(name);
        if (last != NULL) {
            journal_settle(last);
            result_free(last);
        }
        last = result;
    }
}

static void
finds_the_last(void)
{
    struct result_list left;

    require(count_left(&left) == 1);
    require(strcmp(TAILQ_FIRST(&left)->key, "key 49999") == 0);
}

static off_t
size_of(const char *name)
{
    char path[128];
    struct stat status;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

static void
what_is_not_settled_is_found_again(void **state)
{
    (void)state;
    live(writes_three_and_settles_one);
    live(finds_two);
    live(finds_two);
    live(settles_all);
    live(finds_none);
}

static void
half_an_entry_is_no_entry(void **state)
{
    char path[128];

    (void)state;
    live(writes_three_and_settles_one);
    snprintf(path, sizeof(path), "%s/journal.0", directory);
    assert_int_equal(truncate(path, size_of("journal.0") - 3), 0);
    live(finds_one);
    live(appends_to_one);
    live(finds_one_and_four);
}

static void
the_files_stay_small(void **state)
{
    (void)state;
    live(writes_many);
    assert_true(size_of("journal.0") + size_of("journal.1") < 4 << 20);
    live(finds_the_last);
}

static int
make_directory(void **state)
{
    (void)state;
    strcpy(directory + sizeof(directory) - 7, "XXXXXX");
    return mkdtemp(directory) == NULL ? -1 : 0;
}

static int
remove_directory(void **state)
{
    static const char *const NAMES[] = {"claimant", "journal.0", "journal.1"};
    char path[128];

    (void)state;
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, NAMES[i]);
        unlink(path);
    }
    return rmdir(directory);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            what_is_not_settled_is_found_again, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(
            half_an_entry_is_no_entry, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(the_files_stay_small, make_directory, remove_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
