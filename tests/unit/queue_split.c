#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>

#include "tests/unit/queue_fixture.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int
memfd_of(const char *content, size_t length, int seals)
{
    int descriptor = memfd_create("documents", MFD_ALLOW_SEALING | MFD_CLOEXEC);

    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, content, length), (ssize_t)length);
    assert_int_equal(fcntl(descriptor, F_ADD_SEALS, seals), 0);
    return descriptor;
}

static int
many_documents(int count)
{
    char *content = calloc((size_t)count, 16);
    size_t length = 0;
    int descriptor;

    for (int i = 1; i <= count; i++)
        length += (size_t)sprintf(content + length, "6\n%06d", i);
    descriptor = memfd_of(content, length, SEALS);
    free(content);
    return descriptor;
}

static enum queue_result
split_to_end(struct queue_split *split, size_t limit, struct error *error)
{
    enum queue_result result;

    do
        result = queue_split_step(split, limit, error);
    while (result == QUEUE_MORE);
    queue_split_end(split);
    return result;
}

static void
recover(const struct fixture *fixture)
{
    struct queue_recovery *recovery = queue_recovery_begin(fixture->queue);
    struct error error;
    enum queue_result result;

    do
        result = queue_recovery_step(recovery, fixture->now, 3, &error);
    while (result == QUEUE_MORE);
    queue_recovery_end(recovery);
    assert_int_equal(result, QUEUE_DONE);
}

static void
assert_content(const struct fixture *fixture, const char *name, const char *content)
{
    char found[64] = "";
    int file = openat(fixture->directory, name, O_RDONLY);

    assert_true(file >= 0);
    assert_true(read(file, found, sizeof(found) - 1) >= 0);
    close(file);
    assert_string_equal(found, content);
}

static void
a_list_becomes_its_documents(void **state)
{
    struct fixture *fixture = *state;
    struct mail_identity list;
    struct mail_identity document;
    struct error error;
    int documents = memfd_of("3\nabc0\n2\nx\n", 11, SEALS);

    fixture_write(fixture, "list.xml", "list");
    list = fixture_find(fixture, MAIL_WAITING, "list.xml");
    assert_int_equal(
        split_to_end(queue_split_begin(fixture->queue, &list, documents, &error), 1, &error),
        QUEUE_DONE);
    close(documents);
    assert_int_equal(fixture_count(fixture, "."), 3);
    assert_content(fixture, "list.0001.xml", "abc");
    assert_content(fixture, "list.0002.xml", "");
    assert_content(fixture, "list.0003.xml", "x\n");
    document = fixture_find(fixture, MAIL_WAITING, "list.0003.xml");
    assert_true(document.mtime_ns == list.mtime_ns);
}

static void
a_document_whose_name_is_taken_gets_another(void **state)
{
    struct fixture *fixture = *state;
    struct mail_identity list;
    struct error error;
    int documents = memfd_of("1\na", 3, SEALS);

    fixture_write(fixture, "list", "list");
    fixture_write(fixture, "list.0001", "mine");
    list = fixture_find(fixture, MAIL_WAITING, "list");
    assert_int_equal(
        split_to_end(queue_split_begin(fixture->queue, &list, documents, &error), 9, &error),
        QUEUE_DONE);
    close(documents);
    assert_content(fixture, "list.0001", "mine");
    assert_int_equal(fixture_count(fixture, "."), 2);
    assert_false(fixture_has(fixture, "list"));
}

static void
documents_that_lie_about_their_length_are_refused(void **state)
{
    static const char *const WRONG[] = {
        "4\nabc", "abc", "-1\nabc", "\nabc", "99999999999\nabc", "3", ""};
    struct fixture *fixture = *state;
    struct mail_identity list;
    struct error error;

    fixture_write(fixture, "list", "list");
    list = fixture_find(fixture, MAIL_WAITING, "list");
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        int documents = memfd_of(WRONG[i], strlen(WRONG[i]), SEALS);

        assert_null(queue_split_begin(fixture->queue, &list, documents, &error));
        close(documents);
    }
    assert_int_equal(fixture_count(fixture, "."), 1);
}

static void
documents_that_can_change_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct mail_identity list;
    struct error error;
    int documents = memfd_of("1\na", 3, F_SEAL_SHRINK);

    fixture_write(fixture, "list", "list");
    list = fixture_find(fixture, MAIL_WAITING, "list");
    assert_null(queue_split_begin(fixture->queue, &list, documents, &error));
    close(documents);
}

static void
a_list_replaced_meanwhile_stays(void **state)
{
    struct fixture *fixture = *state;
    struct mail_identity list;
    struct queue_split *split;
    struct error error;
    int documents = many_documents(20);

    fixture_write(fixture, "list", "list");
    list = fixture_find(fixture, MAIL_WAITING, "list");
    split = queue_split_begin(fixture->queue, &list, documents, &error);
    assert_int_equal(queue_split_step(split, 5, &error), QUEUE_MORE);
    assert_int_equal(queue_split_step(split, 5, &error), QUEUE_MORE);
    assert_int_equal(fixture_count(fixture, "."), 2);
    fixture_write(fixture, "list", "another");
    assert_int_equal(split_to_end(split, 5, &error), QUEUE_REPLACED);
    close(documents);
    assert_content(fixture, "list", "another");
    assert_int_equal(fixture_count(fixture, "."), 1);
}

static void
a_list_removed_meanwhile_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct mail_identity list;
    struct queue_split *split;
    struct error error;
    int documents = many_documents(3);

    fixture_write(fixture, "list", "list");
    list = fixture_find(fixture, MAIL_WAITING, "list");
    split = queue_split_begin(fixture->queue, &list, documents, &error);
    assert_int_equal(queue_split_step(split, 5, &error), QUEUE_MORE);
    assert_int_equal(unlinkat(fixture->directory, "list", 0), 0);
    assert_int_equal(split_to_end(split, 5, &error), QUEUE_GONE);
    close(documents);
    assert_int_equal(fixture_count(fixture, "."), 0);
}

/* Wherever a split stops, a recovery leaves either the list or all its documents. */
static void
an_interrupted_split_is_finished_or_undone(void **state)
{
    struct fixture *fixture = *state;
    bool undone = false;
    bool finished = false;

    for (int steps = 1; steps < 40; steps++) {
        int documents = many_documents(20);
        struct mail_identity list;
        struct queue_split *split;
        struct error error;
        char name[32];

        snprintf(name, sizeof(name), "%d-list.xml", steps);
        fixture_write(fixture, name, "list");
        list = fixture_find(fixture, MAIL_WAITING, name);
        split = queue_split_begin(fixture->queue, &list, documents, &error);
        for (int i = 0; i < steps; i++)
            if (queue_split_step(split, 3, &error) != QUEUE_MORE)
                break;
        queue_split_end(split);
        close(documents);
        recover(fixture);
        if (fixture_has(fixture, name)) {
            undone = true;
            assert_int_equal(fixture_count(fixture, "."), 1);
            assert_int_equal(unlinkat(fixture->directory, name, 0), 0);
            continue;
        }
        finished = true;
        assert_int_equal(fixture_count(fixture, "."), 20);
        for (int i = 1; i <= 20; i++) {
            snprintf(name, sizeof(name), "%d-list.%04d.xml", steps, i);
            assert_int_equal(unlinkat(fixture->directory, name, 0), 0);
        }
    }
    assert_true(undone);
    assert_true(finished);
}

static void
ten_thousand_items_work(void **state)
{
    struct fixture *fixture = *state;
    struct mail_identity list;
    struct error error;
    int documents = many_documents(10000);

    fixture_write(fixture, "list.xml", "list");
    list = fixture_find(fixture, MAIL_WAITING, "list.xml");
    assert_int_equal(
        split_to_end(queue_split_begin(fixture->queue, &list, documents, &error), 256, &error),
        QUEUE_DONE);
    close(documents);
    assert_int_equal(fixture_count(fixture, "."), 10000);
    assert_content(fixture, "list.10000.xml", "010000");
}

static void
what_the_original_deferred_is_adopted(void **state)
{
    struct fixture *fixture = *state;
    struct mail_identity identity;
    struct mail_record record;

    fixture_write(fixture, "defer/old.xml", "x");
    identity = fixture_find(fixture, MAIL_DEFERRED, "old.xml");
    assert_false(queue_mail_record(fixture->queue, &identity, fixture->now, &record));
    recover(fixture);
    assert_true(queue_mail_record(fixture->queue, &identity, fixture->now, &record));
    assert_int_equal(record.attempts, 0);
    assert_in_range(record.next_try, fixture->now, fixture->now + fixture->options.retry_interval);
}

struct removals {
    int count;
    char id[MAIL_ID_SIZE];
};

static void
note_removal(void *context, struct queue *queue, const struct mail_identity *identity,
    uint64_t hash, const char *id)
{
    struct removals *removals = context;

    (void)queue;
    (void)identity;
    (void)hash;
    removals->count++;
    snprintf(removals->id, sizeof(removals->id), "%s", id);
}

static int
sweep_at(const struct fixture *fixture, int64_t now, int64_t keep, struct removals *removals)
{
    const struct queue_sweep_rules rules = {keep, keep, note_removal, NULL, removals};
    struct queue_sweep *sweep = queue_sweep_begin(fixture->queue, &rules);
    struct error error;
    enum queue_result result;

    memset(removals, 0, sizeof(*removals));
    do
        result = queue_sweep_step(sweep, now, 2, &error);
    while (result == QUEUE_MORE);
    queue_sweep_end(sweep);
    assert_int_equal(result, QUEUE_DONE);
    return removals->count;
}

static void
retention_removes_what_is_old(void **state)
{
    struct fixture *fixture = *state;
    struct removals removals;
    struct queue_move move = {.queue = fixture->queue, .target = MAIL_DROPPED};
    struct queue_move *moves[] = {&move};

    fixture_write(fixture, "a", "x");
    fixture_write(fixture, "b", "x");
    fixture_write(fixture, "c", "x");
    fixture_move(fixture, MAIL_WAITING, "a", MAIL_SENT);
    move.identity = fixture_find(fixture, MAIL_WAITING, "b");
    snprintf(move.record.id, sizeof(move.record.id), "the-id");
    fixture_make(moves, 1);
    assert_int_equal(sweep_at(fixture, fixture->now, 86400000, &removals), 0);
    assert_int_equal(sweep_at(fixture, fixture->now + 90000000, 0, &removals), 0);
    assert_int_equal(sweep_at(fixture, fixture->now + 90000000, 86400000, &removals), 2);
    assert_string_equal(removals.id, "the-id");
    assert_int_equal(fixture_count(fixture, "sent"), 0);
    assert_int_equal(fixture_count(fixture, "drop"), 0);
    assert_int_equal(fixture_count(fixture, "drop/.state"), 0);
    assert_true(fixture_has(fixture, "c"));
}

static void
records_without_their_file_are_swept_after_a_grace(void **state)
{
    struct fixture *fixture = *state;
    struct removals removals;

    fixture_write(fixture, "a", "x");
    fixture_write(fixture, "b", "x");
    fixture_move(fixture, MAIL_WAITING, "a", MAIL_DEFERRED);
    fixture_move(fixture, MAIL_WAITING, "b", MAIL_DEFERRED);
    fixture_write(fixture, "a", "yy");
    fixture_move(fixture, MAIL_WAITING, "a", MAIL_DEFERRED);
    assert_int_equal(unlinkat(fixture->directory, "defer/b", 0), 0);
    sweep_at(fixture, fixture->now + QUEUE_GRACE / 2, 1, &removals);
    assert_int_equal(fixture_count(fixture, "defer/.state"), 3);
    sweep_at(fixture, fixture->now + 2 * QUEUE_GRACE, 1, &removals);
    assert_int_equal(fixture_count(fixture, "defer/.state"), 2);
    assert_int_equal(fixture_count(fixture, "defer"), 2);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_list_becomes_its_documents),
        TEST(a_document_whose_name_is_taken_gets_another),
        TEST(documents_that_lie_about_their_length_are_refused),
        TEST(documents_that_can_change_are_refused),
        TEST(a_list_replaced_meanwhile_stays),
        TEST(a_list_removed_meanwhile_leaves_nothing),
        TEST(an_interrupted_split_is_finished_or_undone),
        TEST(ten_thousand_items_work),
        TEST(what_the_original_deferred_is_adopted),
        TEST(retention_removes_what_is_old),
        TEST(records_without_their_file_are_swept_after_a_grace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
