#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/directory.h"
#include "tests/unit/queue_fixture.h"

static void
opening_makes_what_is_missing(void **state)
{
    static const char *const NAMES[] = {
        "sent", "defer", "drop", ".state", "defer/.state", "drop/.state"};
    struct fixture *fixture = *state;
    struct stat status;

    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        assert_int_equal(fstatat(fixture->directory, NAMES[i], &status, 0), 0);
        assert_int_equal(status.st_mode & 07777, 0750);
    }
}

static void
a_queue_is_locked_against_a_second_master(void **state)
{
    struct fixture *fixture = *state;
    struct queue_options options = fixture->options;
    struct error error = {0};
    struct queue *reader;

    assert_null(queue_open(queue_kind_find("spool"), &options, &error));
    assert_non_null(strstr(error.text, "in use by another smailer"));
    options.writable = false;
    reader = queue_open(queue_kind_find("spool"), &options, &error);
    assert_non_null(reader);
    queue_close(reader);
}

static void
a_link_in_place_of_a_directory_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};

    queue_close(fixture->queue);
    assert_int_equal(unlinkat(fixture->directory, "sent", AT_REMOVEDIR), 0);
    assert_int_equal(symlinkat("/tmp", fixture->directory, "sent"), 0);
    fixture->queue = queue_open(queue_kind_find("spool"), &fixture->options, &error);
    assert_null(fixture->queue);
    assert_non_null(strstr(error.text, "sent"));
}

static void
a_queue_that_is_not_there_says_so(void **state)
{
    struct fixture *fixture = *state;
    struct queue_options options = fixture->options;
    struct error error = {0};

    options.path = "/nonexistent/queue";
    assert_null(queue_open(queue_kind_find("spool"), &options, &error));
    assert_int_equal(error.code, ENOENT);
}

/* A base's owner may put links where smailer goes. */
static void
links_on_the_way_are_not_followed(void **state)
{
    static int (*const OPEN[])(int, const char *, int) = {directory_open_below, directory_walk};
    struct fixture *fixture = *state;

    assert_int_equal(mkdirat(fixture->directory, "way", 0700), 0);
    assert_int_equal(mkdirat(fixture->directory, "way/queue", 0700), 0);
    assert_int_equal(symlinkat("way", fixture->directory, "link"), 0);
    assert_int_equal(symlinkat("queue", fixture->directory, "way/last"), 0);
    for (int i = 0; i < 2; i++) {
        int found = OPEN[i](fixture->directory, "way/queue", O_RDONLY | O_DIRECTORY);

        assert_true(found >= 0);
        close(found);
        found = OPEN[i](fixture->directory, ".", O_RDONLY | O_DIRECTORY);
        assert_true(found >= 0);
        close(found);
        assert_int_equal(OPEN[i](fixture->directory, "link/queue", O_RDONLY | O_DIRECTORY), -1);
        assert_int_equal(OPEN[i](fixture->directory, "way/last", O_RDONLY | O_DIRECTORY), -1);
        assert_int_equal(OPEN[i](fixture->directory, "../tmp", O_RDONLY | O_DIRECTORY), -1);
        assert_int_equal(OPEN[i](fixture->directory, "/tmp", O_RDONLY | O_DIRECTORY), -1);
        assert_int_equal(OPEN[i](fixture->directory, "none", O_RDONLY | O_DIRECTORY), -1);
        assert_int_equal(errno, ENOENT);
    }
}

static void
only_mails_are_found(void **state)
{
    static const char *const OTHERS[] = {".hidden", "a~", "b.tmp", "c.part"};
    struct fixture *fixture = *state;
    struct error error;
    char name[QUEUE_NAME_SIZE];
    struct queue_scan *scan;

    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++)
        fixture_write(fixture, OTHERS[i], "x");
    fixture_write(fixture, "new\nline\xff", "x");
    scan = queue_scan_open(fixture->queue, MAIL_WAITING, &error);
    assert_non_null(scan);
    assert_true(queue_scan_next(scan, name, &error));
    assert_string_equal(name, "new\nline\xff");
    assert_false(queue_scan_next(scan, name, &error));
    assert_int_equal(error.text[0], 0);
    queue_scan_close(scan);
}

static void
what_is_no_file_is_never_a_mail(void **state)
{
    struct fixture *fixture = *state;
    struct mail_identity identity;
    struct error error;
    int descriptor;

    assert_int_equal(symlinkat("/etc/passwd", fixture->directory, "link"), 0);
    assert_int_equal(mkfifoat(fixture->directory, "fifo", 0600), 0);
    fixture_write(fixture, "big", "12345678901234567890123456789012345678901234567890");
    assert_int_equal(
        queue_mail_find(fixture->queue, MAIL_WAITING, "link", &identity, &descriptor, &error),
        QUEUE_FOUND_OTHER);
    assert_int_equal(
        queue_mail_find(fixture->queue, MAIL_WAITING, "fifo", &identity, &descriptor, &error),
        QUEUE_FOUND_OTHER);
    assert_int_equal(
        queue_mail_find(fixture->queue, MAIL_WAITING, "sent", &identity, &descriptor, &error),
        QUEUE_FOUND_GONE);
    assert_int_equal(
        queue_mail_find(fixture->queue, MAIL_WAITING, "none", &identity, &descriptor, &error),
        QUEUE_FOUND_GONE);
    assert_int_equal(
        queue_mail_find(fixture->queue, MAIL_WAITING, "big", &identity, &descriptor, &error),
        QUEUE_FOUND_TOO_LARGE);
}

static void
a_link_is_dropped_as_itself(void **state)
{
    struct fixture *fixture = *state;
    struct queue_move move = {.queue = fixture->queue, .target = MAIL_DROPPED};
    struct queue_move *moves[] = {&move};
    struct error error;
    struct stat status;
    int descriptor;

    assert_int_equal(symlinkat("/etc/passwd", fixture->directory, "link"), 0);
    assert_int_equal(
        queue_mail_find(fixture->queue, MAIL_WAITING, "link", &move.identity, &descriptor, &error),
        QUEUE_FOUND_OTHER);
    fixture_make(moves, 1);
    assert_int_equal(move.result, QUEUE_DONE);
    assert_int_equal(fstatat(fixture->directory, "drop/link", &status, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_true(fixture_has_record(fixture, "drop", move.hash));
}

static void
an_identity_leads_nowhere_else(void **state)
{
    static const char *const NAMES[] = {"", ".state", "..", "../a", "sent/a", "/a"};
    struct fixture *fixture = *state;
    struct queue_move move = {.queue = fixture->queue, .target = MAIL_SENT};
    struct queue_move *moves[] = {&move};
    struct mail_identity identity;

    fixture_write(fixture, "a", "x");
    move.identity = fixture_find(fixture, MAIL_WAITING, "a");
    identity = move.identity;
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        snprintf(move.identity.name, sizeof(move.identity.name), "%s", NAMES[i]);
        fixture_make(moves, 1);
        assert_int_equal(move.result, QUEUE_FAILED);
        assert_non_null(strstr(move.error.text, "is no mail"));
    }
    memset(move.identity.name, 'a', sizeof(move.identity.name));
    fixture_make(moves, 1);
    assert_int_equal(move.result, QUEUE_FAILED);
    move.identity = identity;
    move.identity.place = MAIL_STATE_COUNT;
    fixture_make(moves, 1);
    assert_int_equal(move.result, QUEUE_FAILED);
    assert_int_equal(queue_mail_hash(fixture->queue, &move.identity), 0);
}

static void
a_sent_mail_leaves_no_record(void **state)
{
    struct fixture *fixture = *state;
    struct queue_move move;

    fixture_write(fixture, "mail.xml", "x");
    move = fixture_move(fixture, MAIL_WAITING, "mail.xml", MAIL_DEFERRED);
    assert_int_equal(move.result, QUEUE_DONE);
    assert_true(fixture_has(fixture, "defer/mail.xml"));
    assert_true(fixture_has_record(fixture, "defer", move.hash));
    move = fixture_move(fixture, MAIL_DEFERRED, "mail.xml", MAIL_SENT);
    assert_int_equal(move.result, QUEUE_DONE);
    assert_true(fixture_has(fixture, "sent/mail.xml"));
    assert_false(fixture_has(fixture, "defer/mail.xml"));
    assert_false(fixture_has_record(fixture, "defer", move.hash));
}

static void
a_record_keeps_any_octets(void **state)
{
    static const char NAME[] = "new\nline\\\xff\xc5\xbc";
    struct fixture *fixture = *state;
    struct mail_identity identity;
    struct mail_record record;
    struct queue_move move = {.queue = fixture->queue, .target = MAIL_DEFERRED};
    struct queue_move *moves[] = {&move};

    fixture_write(fixture, NAME, "x");
    move.identity = fixture_find(fixture, MAIL_WAITING, NAME);
    snprintf(move.record.id, sizeof(move.record.id), "%s", "01.01.2026000000_0123456789ABCDEF");
    memset(move.record.reason, '\n', sizeof(move.record.reason) - 1);
    move.record.attempts = 4294967295U;
    move.record.first_try = 1764000000123;
    move.record.next_try = fixture->now + 1234;
    fixture_make(moves, 1);
    assert_int_equal(move.result, QUEUE_DONE);
    identity = fixture_find(fixture, MAIL_DEFERRED, NAME);
    assert_true(queue_mail_record(fixture->queue, &identity, fixture->now, &record));
    assert_memory_equal(&record, &move.record, sizeof(record));
}

static void
a_next_try_far_away_is_clamped(void **state)
{
    struct fixture *fixture = *state;
    struct mail_identity identity;
    struct mail_record record;

    fixture_write(fixture, "a", "x");
    fixture_move(fixture, MAIL_WAITING, "a", MAIL_DEFERRED);
    identity = fixture_find(fixture, MAIL_DEFERRED, "a");
    assert_true(queue_mail_record(fixture->queue, &identity, 1000, &record));
    assert_int_equal(record.next_try, 1000 + fixture->options.retry_interval);
}

static void
a_taken_name_gets_another_and_keeps_its_record(void **state)
{
    struct fixture *fixture = *state;
    struct queue_move first;
    struct queue_move second;
    struct mail_identity identity;
    struct mail_record record;

    fixture_write(fixture, "a.xml", "1");
    first = fixture_move(fixture, MAIL_WAITING, "a.xml", MAIL_DEFERRED);
    fixture_write(fixture, "a.xml", "22");
    second = fixture_move(fixture, MAIL_WAITING, "a.xml", MAIL_DEFERRED);
    assert_int_equal(second.result, QUEUE_DONE);
    assert_string_not_equal(second.name, "a.xml");
    assert_string_equal(second.name + strlen(second.name) - 4, ".xml");
    assert_true(first.hash != second.hash);
    identity = fixture_find(fixture, MAIL_DEFERRED, second.name);
    assert_true(queue_mail_hash(fixture->queue, &identity) == second.hash);
    assert_true(queue_mail_record(fixture->queue, &identity, fixture->now, &record));
    assert_string_equal(record.name, "a.xml");
}

static void
names_of_255_octets_are_moved_like_others(void **state)
{
    struct fixture *fixture = *state;
    char name[QUEUE_NAME_SIZE];
    struct mail_identity identity;
    struct mail_record record;
    struct queue_move move;

    memset(name, '\x01', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    fixture_write(fixture, name, "1");
    fixture_move(fixture, MAIL_WAITING, name, MAIL_DEFERRED);
    fixture_write(fixture, name, "22");
    move = fixture_move(fixture, MAIL_WAITING, name, MAIL_DEFERRED);
    assert_int_equal(move.result, QUEUE_DONE);
    identity = fixture_find(fixture, MAIL_DEFERRED, move.name);
    assert_true(queue_mail_record(fixture->queue, &identity, fixture->now, &record));
    assert_string_equal(record.name, name);
    assert_true(queue_mail_hash(fixture->queue, &identity) == move.hash);
}

static void
a_replaced_file_stays_and_a_removed_one_is_gone(void **state)
{
    struct fixture *fixture = *state;
    struct queue_move move = {.queue = fixture->queue, .target = MAIL_DROPPED};
    struct queue_move *moves[] = {&move};

    fixture_write(fixture, "a", "old");
    move.identity = fixture_find(fixture, MAIL_WAITING, "a");
    fixture_write(fixture, "a", "newer");
    fixture_make(moves, 1);
    assert_int_equal(move.result, QUEUE_REPLACED);
    assert_true(fixture_has(fixture, "a"));
    assert_int_equal(unlinkat(fixture->directory, "a", 0), 0);
    fixture_make(moves, 1);
    assert_int_equal(move.result, QUEUE_GONE);
    assert_int_equal(fixture_count(fixture, "drop"), 0);
    assert_int_equal(fixture_count(fixture, "drop/.state"), 0);
}

static void
a_strike_is_recorded_beside_a_waiting_mail(void **state)
{
    struct fixture *fixture = *state;
    struct queue_move move = {.queue = fixture->queue, .target = MAIL_WAITING};
    struct queue_move *moves[] = {&move};
    struct mail_record record;

    fixture_write(fixture, "a", "x");
    move.identity = fixture_find(fixture, MAIL_WAITING, "a");
    move.record.strikes = 2;
    fixture_make(moves, 1);
    assert_int_equal(move.result, QUEUE_DONE);
    assert_true(fixture_has(fixture, "a"));
    assert_true(queue_mail_record(fixture->queue, &move.identity, fixture->now, &record));
    assert_int_equal(record.strikes, 2);
    fixture_move(fixture, MAIL_WAITING, "a", MAIL_SENT);
    assert_int_equal(fixture_count(fixture, ".state"), 0);
}

static void
a_damaged_record_counts_as_none(void **state)
{
    struct fixture *fixture = *state;
    struct queue_move move;
    struct mail_identity identity;
    struct mail_record record;
    char path[64];
    int descriptor;

    fixture_write(fixture, "a", "x");
    move = fixture_move(fixture, MAIL_WAITING, "a", MAIL_DEFERRED);
    snprintf(path, sizeof(path), "defer/.state/%016" PRIX64, move.hash);
    descriptor = openat(fixture->directory, path, O_WRONLY | O_APPEND);
    assert_int_equal(write(descriptor, "more\n", 5), 5);
    close(descriptor);
    identity = fixture_find(fixture, MAIL_DEFERRED, "a");
    assert_false(queue_mail_record(fixture->queue, &identity, fixture->now, &record));
    assert_int_equal(record.attempts, 0);
    assert_in_range(record.next_try, fixture->now, fixture->now + fixture->options.retry_interval);
}

static void
a_directory_that_was_removed_is_made_again(void **state)
{
    struct fixture *fixture = *state;
    struct queue_move move;

    assert_int_equal(unlinkat(fixture->directory, "sent", AT_REMOVEDIR), 0);
    fixture_write(fixture, "a", "x");
    move = fixture_move(fixture, MAIL_WAITING, "a", MAIL_SENT);
    assert_int_equal(move.result, QUEUE_DONE);
    assert_true(fixture_has(fixture, "sent/a"));
}

enum { MANY = 40 };

static void
many_moves_are_one_group(void **state)
{
    static struct queue_move moves[MANY];
    struct queue_move *pointers[MANY];
    struct fixture *fixture = *state;
    char name[16];

    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "%d", i);
        fixture_write(fixture, name, "x");
        memset(&moves[i], 0, sizeof(moves[i]));
        moves[i].queue = fixture->queue;
        moves[i].target = i % 2 == 0 ? MAIL_DEFERRED : MAIL_DROPPED;
        moves[i].identity = fixture_find(fixture, MAIL_WAITING, name);
        pointers[i] = &moves[i];
    }
    assert_int_equal(unlinkat(fixture->directory, "7", 0), 0);
    fixture_make(pointers, MANY);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(moves[i].result, i == 7 ? QUEUE_GONE : QUEUE_DONE);
    assert_int_equal(fixture_count(fixture, "defer"), MANY / 2);
    assert_int_equal(fixture_count(fixture, "drop"), MANY / 2 - 1);
    assert_int_equal(fixture_count(fixture, "defer/.state"), MANY / 2);
    assert_true(queue_needs_sync(fixture->queue));
    assert_true(fixture_sync(fixture->queue, NULL));
    assert_false(queue_needs_sync(fixture->queue));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(opening_makes_what_is_missing),
        TEST(a_queue_is_locked_against_a_second_master),
        TEST(a_link_in_place_of_a_directory_is_refused),
        TEST(a_queue_that_is_not_there_says_so),
        TEST(links_on_the_way_are_not_followed),
        TEST(only_mails_are_found),
        TEST(what_is_no_file_is_never_a_mail),
        TEST(a_link_is_dropped_as_itself),
        TEST(an_identity_leads_nowhere_else),
        TEST(a_sent_mail_leaves_no_record),
        TEST(a_record_keeps_any_octets),
        TEST(a_next_try_far_away_is_clamped),
        TEST(a_taken_name_gets_another_and_keeps_its_record),
        TEST(names_of_255_octets_are_moved_like_others),
        TEST(a_replaced_file_stays_and_a_removed_one_is_gone),
        TEST(a_strike_is_recorded_beside_a_waiting_mail),
        TEST(a_damaged_record_counts_as_none),
        TEST(a_directory_that_was_removed_is_made_again),
        TEST(many_moves_are_one_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
