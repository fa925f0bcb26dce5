#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "qmgr/committer.h"
#include "tests/unit/queue_fixture.h"

#define PATIENCE 20000 /* ms */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* A disk that takes its time over a new file until it is let on. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool is_stuck;
    bool is_asked; /* somebody waits for it */
    time_t ahead; /* seconds that the clocks are */
    int syncs; /* of directories */
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};

int
fsync(int descriptor)
{
    pthread_mutex_lock(&disk.lock);
    disk.syncs++;
    pthread_mutex_unlock(&disk.lock);
    return (int)syscall(SYS_fsync, descriptor);
}

int
fdatasync(int descriptor)
{
    pthread_mutex_lock(&disk.lock);
    disk.is_asked = true;
    while (disk.is_stuck)
        pthread_cond_wait(&disk.change, &disk.lock);
    pthread_mutex_unlock(&disk.lock);
    return (int)syscall(SYS_fdatasync, descriptor);
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);

    pthread_mutex_lock(&disk.lock);
    now->tv_sec += disk.ahead;
    pthread_mutex_unlock(&disk.lock);
    return result;
}

/* Waits until somebody waits for the disk; from then on AHEAD seconds have passed. */
static void
let_pass(time_t ahead)
{
    bool is_asked = false;

    for (int i = 0; !is_asked; i++) {
        assert_true(i < PATIENCE);
        poll(NULL, 0, 1);
        pthread_mutex_lock(&disk.lock);
        is_asked = disk.is_asked;
        disk.ahead = is_asked ? ahead : 0;
        pthread_mutex_unlock(&disk.lock);
    }
}

static void
set_stuck(bool is_stuck)
{
    pthread_mutex_lock(&disk.lock);
    disk.is_stuck = is_stuck;
    disk.is_asked = false;
    disk.ahead = 0;
    pthread_mutex_unlock(&disk.lock);
    pthread_cond_broadcast(&disk.change);
}

struct bench {
    struct fixture *fixture;
    struct committer *committer;
    struct queue *queue;
};

static struct commit *
await_commit(const struct bench *bench)
{
    struct pollfd event = {.fd = committer_descriptor(bench->committer), .events = POLLIN};
    struct commit *commit;

    while ((commit = committer_collect(bench->committer)) == NULL)
        assert_int_equal(poll(&event, 1, PATIENCE), 1);
    return commit;
}

static void
do_commit(const struct bench *bench, struct commit *commit)
{
    committer_submit(bench->committer, commit);
    committer_begin(bench->committer);
    assert_ptr_equal(await_commit(bench), commit);
}

static int
bench_setup_with(void **state, uint32_t max_attempts, int64_t keep)
{
    const struct committer_options options = {
        .retry = {.retry_interval = 3600000, .max_attempts = max_attempts},
        .commit_interval = 10,
        .keep_sent = keep,
        .keep_dropped = keep,
        .sweep_interval = 20,
    };
    struct bench *bench = calloc(1, sizeof(*bench));
    struct commit commit = {.kind = COMMIT_OPEN, .kind_of_queue = queue_kind_find("spool")};
    struct error error;

    assert_int_equal(fixture_setup((void **)&bench->fixture), 0);
    queue_close(bench->fixture->queue);
    bench->fixture->options.writable = false;
    bench->fixture->queue = queue_open(queue_kind_find("spool"), &bench->fixture->options, &error);
    bench->fixture->options.writable = true;
    commit.options = &bench->fixture->options;
    bench->committer = committer_start(&options, &error);
    assert_non_null(bench->committer);
    do_commit(bench, &commit);
    assert_int_equal(commit.result, QUEUE_DONE);
    bench->queue = commit.queue;
    *state = bench;
    return 0;
}

static int
bench_setup(void **state)
{
    return bench_setup_with(state, 2, 0);
}

static int
bench_setup_retention(void **state)
{
    return bench_setup_with(state, 2, 1);
}

static int
bench_teardown(void **state)
{
    struct bench *bench = *state;

    set_stuck(false);
    committer_stop(bench->committer);
    committer_free(bench->committer);
    fixture_teardown((void **)&bench->fixture);
    free(bench);
    return 0;
}

static struct commit
commit_of(const struct bench *bench, enum commit_kind kind, enum mail_state place, const char *name)
{
    struct commit commit = {.kind = kind, .queue = bench->queue, .descriptor = -1};

    commit.identity = fixture_find(bench->fixture, place, name);
    snprintf(commit.id, sizeof(commit.id), "the-id");
    snprintf(commit.stage, sizeof(commit.stage), "RCPT");
    snprintf(commit.reason, sizeof(commit.reason), "450 full");
    return commit;
}

static void
a_mail_is_deferred_and_given_up(void **state)
{
    struct bench *bench = *state;
    struct commit commit;
    struct mail_record record;
    struct mail_identity identity;

    fixture_write(bench->fixture, "a", "x");
    commit = commit_of(bench, COMMIT_DEFER, MAIL_WAITING, "a");
    do_commit(bench, &commit);
    assert_int_equal(commit.result, QUEUE_DONE);
    assert_int_equal(commit.outcome, MAIL_DEFERRED);
    assert_int_equal(commit.attempts, 1);
    commit = commit_of(bench, COMMIT_DEFER, MAIL_DEFERRED, "a");
    do_commit(bench, &commit);
    assert_int_equal(commit.outcome, MAIL_DROPPED);
    assert_int_equal(commit.attempts, 2);
    identity = fixture_find(bench->fixture, MAIL_DROPPED, "a");
    assert_true(queue_mail_record(bench->fixture->queue, &identity, bench->fixture->now, &record));
    assert_string_equal(record.reason, "given up after 2 attempts: 450 full");
}

static void
three_strikes_defer(void **state)
{
    struct bench *bench = *state;
    struct commit commit;

    fixture_write(bench->fixture, "a", "x");
    for (uint32_t strikes = 1; strikes <= 3; strikes++) {
        commit = commit_of(bench, COMMIT_STRIKE, MAIL_WAITING, "a");
        do_commit(bench, &commit);
        assert_int_equal(commit.result, QUEUE_DONE);
        assert_int_equal(commit.strikes, strikes);
        assert_int_equal(commit.outcome, strikes < 3 ? MAIL_WAITING : MAIL_DEFERRED);
    }
    assert_int_equal(fixture_count(bench->fixture, ".state"), 0);
    assert_true(fixture_has(bench->fixture, "defer/a"));
}

static void
a_removed_mail_is_gone(void **state)
{
    struct bench *bench = *state;
    struct commit commit;

    fixture_write(bench->fixture, "a", "x");
    commit = commit_of(bench, COMMIT_SENT, MAIL_WAITING, "a");
    assert_int_equal(unlinkat(bench->fixture->directory, "a", 0), 0);
    do_commit(bench, &commit);
    assert_int_equal(commit.result, QUEUE_GONE);
}

enum { THOUSANDS = 2000 };

/* Those that need no record may go before those that need one, and do. */
static void
thousands_are_done_each_kind_in_order(void **state)
{
    struct bench *bench = *state;
    struct commit *commits = calloc(THOUSANDS, sizeof(*commits));
    struct commit *next[2];
    int ahead = 0;
    char name[16];

    for (int i = 0; i < THOUSANDS; i++) {
        snprintf(name, sizeof(name), "%d", i);
        fixture_write(bench->fixture, name, "x");
        commits[i] = commit_of(bench, i % 2 == 0 ? COMMIT_DEFER : COMMIT_SENT, MAIL_WAITING, name);
    }
    for (int i = 0; i < THOUSANDS; i++)
        committer_submit(bench->committer, &commits[i]);
    committer_begin(bench->committer);
    next[0] = &commits[0];
    next[1] = &commits[1];
    for (int i = 0; i < THOUSANDS; i++) {
        struct commit *done = await_commit(bench);
        bool sent = done->kind == COMMIT_SENT;

        assert_ptr_equal(done, next[sent]);
        assert_int_equal(done->result, QUEUE_DONE);
        next[sent] += 2;
        ahead += sent && next[0] < done;
    }
    assert_true(ahead > 0);
    assert_int_equal(fixture_count(bench->fixture, "sent"), THOUSANDS / 2);
    assert_int_equal(fixture_count(bench->fixture, "defer/.state"), THOUSANDS / 2);
    free(commits);
}

static void
sent_mails_do_not_wait_for_the_records_of_others(void **state)
{
    struct bench *bench = *state;
    struct commit deferred[2];
    struct commit sent;

    fixture_write(bench->fixture, "a", "x");
    fixture_write(bench->fixture, "b", "x");
    fixture_write(bench->fixture, "c", "x");
    deferred[0] = commit_of(bench, COMMIT_DEFER, MAIL_WAITING, "a");
    deferred[1] = commit_of(bench, COMMIT_DROP, MAIL_WAITING, "b");
    sent = commit_of(bench, COMMIT_SENT, MAIL_WAITING, "c");
    set_stuck(true);
    committer_submit(bench->committer, &deferred[0]);
    committer_submit(bench->committer, &deferred[1]);
    committer_begin(bench->committer);
    do_commit(bench, &sent);
    assert_true(fixture_has(bench->fixture, "sent/c"));
    assert_true(fixture_has(bench->fixture, "a"));
    set_stuck(false);
    assert_ptr_equal(await_commit(bench), &deferred[0]);
    assert_ptr_equal(await_commit(bench), &deferred[1]);
    assert_true(fixture_has(bench->fixture, "defer/a"));
    assert_true(fixture_has(bench->fixture, "drop/b"));
}

/* After a power cut, what is moved meanwhile is sent twice. */
static void
a_sync_that_does_not_end_is_waited_for(void **state)
{
    struct bench *bench = *state;
    struct pollfd event = {.fd = committer_descriptor(bench->committer), .events = POLLIN};
    static struct commit deferred; /* the committer has them still where this fails */
    static struct commit sent;

    fixture_write(bench->fixture, "a", "x");
    fixture_write(bench->fixture, "b", "x");
    deferred = commit_of(bench, COMMIT_DEFER, MAIL_WAITING, "a");
    sent = commit_of(bench, COMMIT_SENT, MAIL_WAITING, "b");
    set_stuck(true);
    committer_submit(bench->committer, &deferred);
    committer_begin(bench->committer);
    let_pass(6);
    assert_null(committer_collect(bench->committer));
    committer_submit(bench->committer, &sent);
    committer_begin(bench->committer);
    assert_int_equal(poll(&event, 1, 100), 0);
    assert_true(fixture_has(bench->fixture, "b"));
    set_stuck(false);
    assert_ptr_equal(await_commit(bench), &deferred);
    assert_ptr_equal(await_commit(bench), &sent);
    assert_true(fixture_has(bench->fixture, "sent/b"));
}

static void
closing_waits_for_the_records(void **state)
{
    struct bench *bench = *state;
    struct commit deferred;
    struct commit close = {.kind = COMMIT_CLOSE, .queue = bench->queue, .descriptor = -1};
    struct commit open = {.kind = COMMIT_OPEN,
        .kind_of_queue = queue_kind_find("spool"),
        .options = &bench->fixture->options};

    fixture_write(bench->fixture, "a", "x");
    deferred = commit_of(bench, COMMIT_DEFER, MAIL_WAITING, "a");
    disk.syncs = 0;
    committer_submit(bench->committer, &deferred);
    committer_submit(bench->committer, &close);
    committer_begin(bench->committer);
    assert_ptr_equal(await_commit(bench), &deferred);
    assert_ptr_equal(await_commit(bench), &close);
    assert_int_equal(deferred.result, QUEUE_DONE);
    assert_true(fixture_has(bench->fixture, "defer/a"));
    assert_true(disk.syncs >= 3); /* of the queue, defer/ and its records */
    do_commit(bench, &open);
    bench->queue = open.queue;
}

static void
a_list_is_split_and_others_do_not_wait_for_it(void **state)
{
    struct bench *bench = *state;
    int documents = memfd_create("documents", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    struct commit list;
    struct commit mail;

    for (int i = 0; i < THOUSANDS; i++)
        assert_int_equal(write(documents, "1\nx", 3), 3);
    assert_int_equal(fcntl(documents, F_ADD_SEALS, SEALS), 0);
    fixture_write(bench->fixture, "list.xml", "x");
    fixture_write(bench->fixture, "mail", "x");
    list = commit_of(bench, COMMIT_SPLIT, MAIL_WAITING, "list.xml");
    list.descriptor = documents;
    mail = commit_of(bench, COMMIT_SENT, MAIL_WAITING, "mail");
    committer_submit(bench->committer, &list);
    committer_submit(bench->committer, &mail);
    committer_begin(bench->committer);
    assert_ptr_equal(await_commit(bench), &mail);
    assert_ptr_equal(await_commit(bench), &list);
    assert_int_equal(list.result, QUEUE_DONE);
    assert_int_equal(list.documents, THOUSANDS);
    assert_int_equal(fixture_count(bench->fixture, "."), THOUSANDS);
    close(documents);
}

/* What failed is submitted again, as it is. */
static void
a_split_that_failed_can_be_submitted_again(void **state)
{
    struct bench *bench = *state;
    int documents = memfd_create("documents", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    struct commit list;

    assert_int_equal(write(documents, "1\nx", 3), 3);
    assert_int_equal(fcntl(documents, F_ADD_SEALS, SEALS), 0);
    fixture_write(bench->fixture, "list.xml", "x");
    list = commit_of(bench, COMMIT_SPLIT, MAIL_WAITING, "list.xml");
    list.descriptor = documents;
    list.queue = NULL;
    do_commit(bench, &list);
    assert_int_equal(list.result, QUEUE_FAILED);
    list.queue = bench->queue;
    do_commit(bench, &list);
    assert_int_equal(list.result, QUEUE_DONE);
    assert_true(fixture_has(bench->fixture, "list.0001.xml"));
    close(documents);
}

static void
documents_that_lie_leave_the_list(void **state)
{
    struct bench *bench = *state;
    struct commit list;

    fixture_write(bench->fixture, "list.xml", "x");
    list = commit_of(bench, COMMIT_SPLIT, MAIL_WAITING, "list.xml");
    list.descriptor = memfd_create("documents", MFD_CLOEXEC);
    do_commit(bench, &list);
    assert_int_equal(list.result, QUEUE_FAILED);
    assert_string_not_equal(list.error.text, "");
    assert_true(fixture_has(bench->fixture, "list.xml"));
    close(list.descriptor);
}

static void
retention_works_by_itself(void **state)
{
    struct bench *bench = *state;
    struct commit commit;

    fixture_write(bench->fixture, "a", "x");
    commit = commit_of(bench, COMMIT_SENT, MAIL_WAITING, "a");
    do_commit(bench, &commit);
    assert_int_equal(commit.result, QUEUE_DONE);
    for (int i = 0; fixture_has(bench->fixture, "sent/a"); i++) {
        assert_true(i < PATIENCE);
        poll(NULL, 0, 1);
    }
}

static void
what_is_put_into_defer_by_hand_gets_a_record(void **state)
{
    struct bench *bench = *state;

    for (int records = 1; records <= 2; records++) {
        fixture_write(bench->fixture, records == 1 ? "defer/a" : "defer/b", "x");
        for (int i = 0; fixture_count(bench->fixture, "defer/.state") < records; i++) {
            assert_true(i < PATIENCE);
            poll(NULL, 0, 1);
        }
    }
}

static void
a_closed_queue_can_be_opened_again(void **state)
{
    struct bench *bench = *state;
    struct commit commit = {.kind = COMMIT_OPEN,
        .kind_of_queue = queue_kind_find("spool"),
        .options = &bench->fixture->options};

    do_commit(bench, &commit);
    assert_int_equal(commit.result, QUEUE_FAILED);
    commit.kind = COMMIT_CLOSE;
    commit.queue = bench->queue;
    do_commit(bench, &commit);
    assert_int_equal(commit.result, QUEUE_DONE);
    commit.kind = COMMIT_OPEN;
    do_commit(bench, &commit);
    assert_int_equal(commit.result, QUEUE_DONE);
    bench->queue = commit.queue;
}

static void
stopping_finishes_what_was_submitted(void **state)
{
    struct bench *bench = *state;
    struct commit commit;

    fixture_write(bench->fixture, "a", "x");
    commit = commit_of(bench, COMMIT_SENT, MAIL_WAITING, "a");
    disk.syncs = 0;
    committer_submit(bench->committer, &commit);
    committer_stop(bench->committer);
    assert_int_equal(disk.syncs, 2); /* of the queue and of sent/ */
    assert_ptr_equal(committer_collect(bench->committer), &commit);
    assert_true(fixture_has(bench->fixture, "sent/a"));
    committer_free(bench->committer);
    fixture_teardown((void **)&bench->fixture);
    free(bench);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bench_setup, bench_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_mail_is_deferred_and_given_up),
        TEST(three_strikes_defer),
        TEST(a_removed_mail_is_gone),
        TEST(thousands_are_done_each_kind_in_order),
        TEST(sent_mails_do_not_wait_for_the_records_of_others),
        TEST(a_sync_that_does_not_end_is_waited_for),
        TEST(closing_waits_for_the_records),
        TEST(a_list_is_split_and_others_do_not_wait_for_it),
        TEST(a_split_that_failed_can_be_submitted_again),
        TEST(documents_that_lie_leave_the_list),
        TEST(what_is_put_into_defer_by_hand_gets_a_record),
        TEST(a_closed_queue_can_be_opened_again),
        cmocka_unit_test_setup_teardown(
            retention_works_by_itself, bench_setup_retention, bench_teardown),
        cmocka_unit_test_setup(stopping_finishes_what_was_submitted, bench_setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
