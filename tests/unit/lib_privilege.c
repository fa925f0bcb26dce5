/*
 * Dropping root's rights: what is left, also in a program that is executed afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/privilege.h"

/* Nobody's, in the sense that no file is. */
static const struct privilege_user STRANGER = {.uid = 64321, .gid = 64322};

#define UNREADABLE "unreadable"
#define FAILED_DROP 99

static char directory[64];

/* The exit status of a shell that runs SCRIPT (in the directory) with what the drop left. */
static int
run_as(const struct privilege_user *user, unsigned int keep, const char *script)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        struct error error = {0};

        if (chdir(directory) != 0 || !privilege_drop(user, keep, &error)) {
            fprintf(stderr, "%s\n", error.text);
            _exit(FAILED_DROP);
        }
        execl("/bin/sh", "sh", "-c", script, (char *)NULL);
        _exit(FAILED_DROP);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int
run_after_drop(unsigned int keep, const char *script)
{
    return run_as(&STRANGER, keep, script);
}

static void
test_lookup(void **state)
{
    struct privilege_user user = {.uid = 1};
    struct error error;

    (void)state;
    assert_true(privilege_lookup("root", &user, &error));
    assert_int_equal(user.uid, 0);
    assert_true(user.group_count >= 1);
    assert_int_equal(user.groups[0], user.gid);
    assert_false(privilege_lookup("no-such-user-here", &user, &error));
    assert_non_null(strstr(error.text, "no-such-user-here"));
    assert_non_null(strstr(error.text, "make users"));
}

static void
test_root_is_refused(void **state)
{
    const struct privilege_user root = {.uid = 0};
    struct error error;

    (void)state;
    assert_false(privilege_drop(&root, 0, &error));
}

static void
test_nothing_is_left(void **state)
{
    (void)state;
    if (!privilege_is_root())
        skip();
    assert_int_equal(run_after_drop(0, "test $(id -u) = 64321 && test $(id -G) = 64322"), 0);
    assert_int_equal(run_after_drop(0, "cat " UNREADABLE " 2>&-"), 1);
    assert_int_equal(run_after_drop(0, "grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status"
                                       " | grep -qvE '\t0+$'"),
        1);
}

static void
test_reading_is_left(void **state)
{
    (void)state;
    if (!privilege_is_root())
        skip();
    assert_int_equal(run_after_drop(PRIVILEGE_READ_ANY, "cat " UNREADABLE), 0);
    assert_int_equal(run_after_drop(PRIVILEGE_READ_ANY, "echo x 2>&- >>" UNREADABLE), 2);
    assert_int_equal(run_after_drop(PRIVILEGE_READ_ANY, "chown 1 " UNREADABLE " 2>&-"), 1);
}

static void
test_writing_is_left(void **state)
{
    (void)state;
    if (!privilege_is_root())
        skip();
    assert_int_equal(run_after_drop(PRIVILEGE_WRITE_ANY, "mv " UNREADABLE " moved"), 0);
    assert_int_equal(run_after_drop(PRIVILEGE_WRITE_ANY, "mv moved " UNREADABLE), 0);
    assert_int_equal(run_after_drop(PRIVILEGE_WRITE_ANY, ": >new && chown 7:7 new"), 0);
    assert_int_equal(
        run_after_drop(PRIVILEGE_WRITE_ANY, "touch -d @0 " UNREADABLE " && rm new"), 0);
    assert_int_equal(run_after_drop(PRIVILEGE_WRITE_ANY,
                         "grep -q '^CapBnd:\t000000000000001b$' /proc/self/status"),
        0);
}

/* A queue's directory keeps its set-group-id bit, though its group is a stranger's. */
static void
test_modes_are_left(void **state)
{
    (void)state;
    if (!privilege_is_root())
        skip();
    assert_int_equal(run_after_drop(PRIVILEGE_WRITE_ANY,
                         "mkdir made && chown 7:7 made && chmod 2770 made && test -g made"),
        0);
    assert_int_equal(run_after_drop(PRIVILEGE_WRITE_ANY, "rmdir made"), 0);
}

static void
test_groups_are_the_users(void **state)
{
    const struct privilege_user member = {
        .uid = 64321, .gid = 64322, .groups = {64322, 64323}, .group_count = 2};

    (void)state;
    if (!privilege_is_root())
        skip();
    assert_int_equal(run_as(&member, 0, "test \"$(id -G)\" = '64322 64323'"), 0);
}

/* A stranger's group that the caller was in must not stay. */
static void
test_groups_are_left_behind(void **state)
{
    const gid_t groups[] = {4, 24};

    (void)state;
    if (!privilege_is_root())
        skip();
    assert_int_equal(setgroups(2, groups), 0);
    assert_int_equal(run_after_drop(0, "test $(id -G) = 64322"), 0);
    assert_int_equal(setgroups(0, NULL), 0);
}

static int
make_directory(void **state)
{
    char path[128];
    int descriptor;

    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/privilege.XXXXXX");
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chmod(directory, 0755), 0);
    snprintf(path, sizeof(path), "%s/%s", directory, UNREADABLE);
    descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(descriptor >= 0);
    return close(descriptor);
}

static int
remove_directory(void **state)
{
    char path[128];

    (void)state;
    snprintf(path, sizeof(path), "%s/%s", directory, UNREADABLE);
    unlink(path);
    return rmdir(directory);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_root_is_refused),
        cmocka_unit_test(test_nothing_is_left),
        cmocka_unit_test(test_reading_is_left),
        cmocka_unit_test(test_writing_is_left),
        cmocka_unit_test(test_modes_are_left),
        cmocka_unit_test(test_groups_are_the_users),
        cmocka_unit_test(test_groups_are_left_behind),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
