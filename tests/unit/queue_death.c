/*
 * The queue's promises: the process dies before each of its changes in turn, the disk fails, files
 * are replaced at the worst moment. The C library's calls are replaced by ones that do that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/unit/queue_fixture.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define DEAD 42

static struct {
    int steps_left; /* -1: no end */
    bool syncs_fail;
    bool syncs_fail_after_rename; /* of the file "list" */
    int rename_error;
    int64_t clock_ahead; /* seconds */
    const struct fixture *replace_before_rename; /* the file "a" */
} world = {.steps_left = -1};

static void
step(void)
{
    if (world.steps_left == 0)
        _exit(DEAD);
    if (world.steps_left > 0)
        world.steps_left--;
}

int
renameat2(int source, const char *from, int target, const char *to, unsigned int flags)
{
    step();
    if (world.rename_error != 0) {
        errno = world.rename_error;
        return -1;
    }
    if (world.replace_before_rename != NULL && strcmp(from, "a") == 0) {
        const struct fixture *fixture = world.replace_before_rename;

        world.replace_before_rename = NULL;
        fixture_write(fixture, "a", "another");
    }
    if (strcmp(from, "list") == 0)
        world.syncs_fail |= world.syncs_fail_after_rename;
    return (int)syscall(SYS_renameat2, source, from, target, to, flags);
}

int
renameat(int source, const char *from, int target, const char *to)
{
    step();
    return (int)syscall(SYS_renameat2, source, from, target, to, 0);
}

int
unlinkat(int directory, const char *name, int flags)
{
    step();
    return (int)syscall(SYS_unlinkat, directory, name, flags);
}

int
mkdirat(int directory, const char *name, mode_t mode)
{
    step();
    return (int)syscall(SYS_mkdirat, directory, name, mode);
}

ssize_t
sendfile(int target, int source, off_t *at, size_t count)
{
    step();
    return syscall(SYS_sendfile, target, source, at, count);
}

static int
sync_with(long number, int descriptor)
{
    step();
    if (world.syncs_fail) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(number, descriptor);
}

int
fsync(int descriptor)
{
    return sync_with(SYS_fsync, descriptor);
}

int
fdatasync(int descriptor)
{
    return sync_with(SYS_fdatasync, descriptor);
}

int
syncfs(int descriptor)
{
    return sync_with(SYS_syncfs, descriptor);
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);

    now->tv_sec += world.clock_ahead;
    return result;
}

/* Runs WORK in a process that dies before its STEPSth change. True where it came to its end. */
static bool
die_after(int steps, const struct fixture *fixture, void (*work)(const struct fixture *))
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        world.steps_left = steps;
        work(fixture);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == DEAD);
    return WEXITSTATUS(status) == 0;
}

static void
recover(const struct fixture *fixture)
{
    struct queue_recovery *recovery = queue_recovery_begin(fixture->queue);
    struct error error;
    enum queue_result result;

    do
        result = queue_recovery_step(recovery, fixture->now, 100, &error);
    while (result == QUEUE_MORE);
    queue_recovery_end(recovery);
    assert_int_equal(result, QUEUE_DONE);
}

static void
ignore_removal(void *context, struct queue *queue, const struct mail_identity *identity,
    uint64_t hash, const char *id)
{
    (void)context;
    (void)queue;
    (void)identity;
    (void)hash;
    (void)id;
}

static void
sweep(const struct fixture *fixture)
{
    const struct queue_sweep_rules rules = {.removed = ignore_removal};
    struct queue_sweep *swept = queue_sweep_begin(fixture->queue, &rules);
    struct error error;
    enum queue_result result;

    do
        result = queue_sweep_step(swept, fixture->now + 2 * QUEUE_GRACE, 100, &error);
    while (result == QUEUE_MORE);
    queue_sweep_end(swept);
    assert_int_equal(result, QUEUE_DONE);
}

static void
move_three(const struct fixture *fixture)
{
    struct queue_move moves[3] = {
        {.target = MAIL_SENT}, {.target = MAIL_DEFERRED}, {.target = MAIL_DROPPED}};
    struct queue_move *pointers[3];

    for (int i = 0; i < 3; i++) {
        char name[2] = {(char)('a' + i), '\0'};

        moves[i].queue = fixture->queue;
        moves[i].identity = fixture_find(fixture, MAIL_WAITING, name);
        moves[i].record.next_try = fixture->now;
        pointers[i] = &moves[i];
    }
    fixture_make(pointers, 3);
    fixture_sync(fixture->queue, NULL);
    fixture_move(fixture, MAIL_DEFERRED, "b", MAIL_DEFERRED);
    fixture_move(fixture, MAIL_DEFERRED, "b", MAIL_DROPPED);
    fixture_sync(fixture->queue, NULL);
}

static int
places_of(const struct fixture *fixture, const char *name)
{
    static const char *const PLACES[] = {".", "defer", "sent", "drop"};
    char path[16];
    int places = 0;

    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s/%s", PLACES[i], name);
        places += fixture_has(fixture, path);
    }
    return places;
}

static void
whenever_it_dies_a_mail_is_in_one_place(void **state)
{
    bool ended = false;
    int steps;

    (void)state;
    for (steps = 0; !ended; steps++) {
        struct fixture *fixture;

        fixture_setup((void **)&fixture);
        fixture_write(fixture, "a", "1");
        fixture_write(fixture, "b", "2");
        fixture_write(fixture, "c", "3");
        ended = die_after(steps, fixture, move_three);
        recover(fixture);
        sweep(fixture);
        assert_int_equal(places_of(fixture, "a"), 1);
        assert_int_equal(places_of(fixture, "b"), 1);
        assert_int_equal(places_of(fixture, "c"), 1);
        assert_false(fixture_has(fixture, "defer/a"));
        assert_false(fixture_has(fixture, "sent/b"));
        assert_int_equal(fixture_count(fixture, "defer"), fixture_count(fixture, "defer/.state"));
        assert_int_equal(fixture_count(fixture, "drop"), fixture_count(fixture, "drop/.state"));
        fixture_teardown((void **)&fixture);
    }
    assert_true(steps > 15);
}

static void
split_three(const struct fixture *fixture)
{
    struct mail_identity list = fixture_find(fixture, MAIL_WAITING, "list");
    int documents = memfd_create("documents", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    struct queue_split *split;
    struct error error;

    assert_int_equal(write(documents, "1\na1\nb1\nc", 9), 9);
    assert_int_equal(fcntl(documents, F_ADD_SEALS, SEALS), 0);
    split = queue_split_begin(fixture->queue, &list, documents, &error);
    while (queue_split_step(split, 2, &error) == QUEUE_MORE)
        continue;
    queue_split_end(split);
    close(documents);
}

static void
whenever_it_dies_a_list_is_whole_or_split(void **state)
{
    bool ended = false;
    int steps;
    int kept = 0;

    (void)state;
    for (steps = 0; !ended; steps++) {
        struct fixture *fixture;

        fixture_setup((void **)&fixture);
        fixture_write(fixture, "list", "abc");
        ended = die_after(steps, fixture, split_three);
        recover(fixture);
        if (fixture_has(fixture, "list")) {
            kept++;
            assert_int_equal(fixture_count(fixture, "."), 1);
        } else {
            assert_true(fixture_has(fixture, "list.0001"));
            assert_true(fixture_has(fixture, "list.0002"));
            assert_true(fixture_has(fixture, "list.0003"));
            assert_int_equal(fixture_count(fixture, "."), 3);
        }
        fixture_teardown((void **)&fixture);
    }
    assert_true(kept > 5);
    assert_true(steps - kept > 5);
}

/* A recovery may die, too. */
static void
recover_in_child(const struct fixture *fixture)
{
    struct queue_recovery *recovery = queue_recovery_begin(fixture->queue);
    struct error error;

    while (queue_recovery_step(recovery, fixture->now, 100, &error) == QUEUE_MORE)
        continue;
}

static void
whenever_a_recovery_dies_the_next_one_does_it(void **state)
{
    bool ended = false;

    (void)state;
    for (int steps = 0; !ended; steps++) {
        struct fixture *fixture;
        bool recovered = false;

        fixture_setup((void **)&fixture);
        fixture_write(fixture, "list", "abc");
        ended = die_after(steps, fixture, split_three);
        for (int more = 0; !recovered; more++)
            recovered = die_after(more, fixture, recover_in_child);
        assert_int_equal(fixture_count(fixture, "."), fixture_has(fixture, "list") ? 1 : 3);
        fixture_teardown((void **)&fixture);
    }
}

static void
a_file_replaced_at_the_last_moment_goes_back(void **state)
{
    struct fixture *fixture = *state;
    struct queue_move move = {.queue = fixture->queue, .target = MAIL_DROPPED};
    struct queue_move *moves[] = {&move};

    fixture_write(fixture, "a", "x");
    move.identity = fixture_find(fixture, MAIL_WAITING, "a");
    world.replace_before_rename = fixture;
    fixture_make(moves, 1);
    assert_null(world.replace_before_rename);
    assert_int_equal(move.result, QUEUE_REPLACED);
    assert_true(fixture_has(fixture, "a"));
    assert_int_equal(fixture_count(fixture, "drop"), 0);
    assert_int_equal(fixture_count(fixture, "drop/.state"), 0);
}

static void
a_list_replaced_at_the_last_moment_goes_back(void **state)
{
    struct fixture *fixture = *state;
    struct mail_identity list;
    struct queue_split *split;
    struct error error;
    enum queue_result result;
    int documents = memfd_create("documents", MFD_ALLOW_SEALING | MFD_CLOEXEC);

    fixture_write(fixture, "a", "x");
    list = fixture_find(fixture, MAIL_WAITING, "a");
    assert_int_equal(write(documents, "1\na", 3), 3);
    assert_int_equal(fcntl(documents, F_ADD_SEALS, SEALS), 0);
    split = queue_split_begin(fixture->queue, &list, documents, &error);
    world.replace_before_rename = fixture;
    do
        result = queue_split_step(split, 1, &error);
    while (result == QUEUE_MORE);
    queue_split_end(split);
    close(documents);
    assert_int_equal(result, QUEUE_REPLACED);
    assert_true(fixture_has(fixture, "a"));
    assert_int_equal(fixture_count(fixture, "."), 1);
}

static void
a_split_that_cannot_be_synced_is_finished_later(void **state)
{
    struct fixture *fixture = *state;

    fixture_write(fixture, "list", "abc");
    world.syncs_fail_after_rename = true;
    split_three(fixture);
    assert_true(world.syncs_fail);
    world.syncs_fail_after_rename = false;
    world.syncs_fail = false;
    assert_int_equal(fixture_count(fixture, "."), 1);
    world.clock_ahead += 10;
    recover(fixture);
    assert_int_equal(fixture_count(fixture, "."), 3);
    assert_true(fixture_has(fixture, "list.0003"));
}

static void
a_record_that_cannot_be_synced_stops_the_move(void **state)
{
    struct fixture *fixture = *state;
    struct queue_move move;

    fixture_write(fixture, "a", "x");
    world.syncs_fail = true;
    move = fixture_move(fixture, MAIL_WAITING, "a", MAIL_DEFERRED);
    world.syncs_fail = false;
    assert_int_equal(move.result, QUEUE_FAILED);
    assert_non_null(strstr(move.error.text, "Input/output error"));
    assert_true(fixture_has(fixture, "a"));
    assert_int_equal(fixture_count(fixture, "defer/.state"), 0);
}

static void
a_disk_that_failed_is_trusted_when_it_works_again(void **state)
{
    struct fixture *fixture = *state;
    struct error error;

    fixture_write(fixture, "a", "x");
    fixture_write(fixture, "b", "x");
    assert_int_equal(fixture_move(fixture, MAIL_WAITING, "a", MAIL_SENT).result, QUEUE_DONE);
    world.syncs_fail = true;
    assert_false(fixture_sync(fixture->queue, &error));
    world.clock_ahead += 10;
    assert_int_equal(fixture_move(fixture, MAIL_WAITING, "b", MAIL_SENT).result, QUEUE_FAILED);
    world.syncs_fail = false;
    assert_int_equal(fixture_move(fixture, MAIL_WAITING, "b", MAIL_SENT).result, QUEUE_FAILED);
    assert_true(fixture_has(fixture, "b"));
    world.clock_ahead += 10;
    assert_int_equal(fixture_move(fixture, MAIL_WAITING, "b", MAIL_SENT).result, QUEUE_DONE);
    assert_true(fixture_sync(fixture->queue, &error));
}

static void
a_file_system_that_would_replace_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};

    queue_close(fixture->queue);
    world.rename_error = EINVAL;
    fixture->queue = queue_open(queue_kind_find("spool"), &fixture->options, &error);
    world.rename_error = 0;
    assert_null(fixture->queue);
    assert_non_null(strstr(error.text, "RENAME_NOREPLACE"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whenever_it_dies_a_mail_is_in_one_place),
        cmocka_unit_test(whenever_it_dies_a_list_is_whole_or_split),
        cmocka_unit_test(whenever_a_recovery_dies_the_next_one_does_it),
        TEST(a_file_replaced_at_the_last_moment_goes_back),
        TEST(a_list_replaced_at_the_last_moment_goes_back),
        TEST(a_split_that_cannot_be_synced_is_finished_later),
        TEST(a_record_that_cannot_be_synced_stops_the_move),
        TEST(a_disk_that_failed_is_trusted_when_it_works_again),
        TEST(a_file_system_that_would_replace_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
