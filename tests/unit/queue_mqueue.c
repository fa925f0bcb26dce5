/*
 * Jobs of sendmail's queue: found, locked, rewritten, finished, set aside, made.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "queue/mqueue_internal.h"
#include "tests/unit/queue_steps.h"

#define ID "6AM50KDN010001"

struct scene {
    char path[64];
    struct queue *queue;
    int64_t now;
};

static int
setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    struct error error = {0};
    struct queue_options options = {.section = "sendmail",
        .sid = "sendmail",
        .directory = AT_FDCWD,
        .path = scene->path,
        .max_message_size = 1 << 20,
        .retry_interval = 1800000,
        .expire = INT64_C(432000000),
        .warn_after = 14400000,
        .writable = true};

    snprintf(scene->path, sizeof(scene->path), "/tmp/smailer-mqueue.XXXXXX");
    assert_non_null(mkdtemp(scene->path));
    scene->now = (int64_t)time(NULL) * 1000;
    scene->queue = queue_open(queue_kind_find("mqueue"), &options, &error);
    if (scene->queue == NULL)
        fail_msg("%s", error.text);
    *state = scene;
    return 0;
}

static int
teardown(void **state)
{
    struct scene *scene = *state;
    char command[128];

    queue_close(scene->queue);
    snprintf(command, sizeof(command), "rm -rf %s", scene->path);
    assert_int_equal(system(command), 0);
    free(scene);
    return 0;
}

static void
put(struct scene *scene, const char *name, const char *text)
{
    char path[128];
    int descriptor;

    snprintf(path, sizeof(path), "%s/%s", scene->path, name);
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, text, strlen(text)), strlen(text));
    close(descriptor);
}

static char *
get(struct scene *scene, const char *name)
{
    static char text[8192];
    char path[128];
    ssize_t length;
    int descriptor;

    snprintf(path, sizeof(path), "%s/%s", scene->path, name);
    descriptor = open(path, O_RDONLY);
    if (descriptor < 0)
        return NULL;
    length = read(descriptor, text, sizeof(text) - 1);
    close(descriptor);
    text[length] = '\0';
    return text;
}

/* The names in the queue, sorted, with a blank after each. */
static const char *
list(struct scene *scene)
{
    static char names[1024];
    struct dirent **entries;
    int count = scandir(scene->path, &entries, NULL, alphasort);

    names[0] = '\0';
    for (int i = 0; i < count; i++) {
        if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0) {
            strcat(names, entries[i]->d_name);
            strcat(names, " ");
        }
        free(entries[i]);
    }
    free(entries);
    return names;
}

static void
put_job(struct scene *scene, int64_t age, const char *flags, const char *recipients)
{
    char text[4096];

    snprintf(text, sizeof(text),
        "V8\nT%lld\nK0\nN0\nP30100\nF%s\nSann@example.org\n%sH??Subject: x\n.\n",
        (long long)(scene->now / 1000 - age), flags, recipients);
    put(scene, "qf" ID, text);
    put(scene, "df" ID, "body\n");
}

static struct mail_identity
find(struct scene *scene, enum mail_state place)
{
    struct mail_identity identity;
    struct error error;

    assert_int_equal(
        queue_mail_find(scene->queue, place, "qf" ID, &identity, NULL, &error), QUEUE_FOUND);
    return identity;
}

static struct mqueue_job *
take(struct scene *scene, enum mqueue_take expected)
{
    struct mail_identity identity = find(scene, MAIL_WAITING);
    struct mqueue_job *job = NULL;
    struct error error;

    assert_int_equal(
        mqueue_take(scene->queue, &identity, false, scene->now, &job, &error), expected);
    return job;
}

static void
settle(struct scene *scene, struct mqueue_job *job, const struct mqueue_outcome *outcomes,
    size_t count, struct mqueue_decision *decision)
{
    struct error error;

    mqueue_decide(job, outcomes, count, scene->now, decision);
    assert_true(mqueue_settle(job, decision, scene->now, &error));
    assert_true(fixture_sync(scene->queue, &error));
}

static void
test_sent(void **state)
{
    struct scene *scene = *state;
    struct mqueue_outcome outcome = {.outcome = OUTCOME_SENT, .words = "ok"};
    struct mqueue_decision decision;
    struct mqueue_job *job;

    put_job(scene, 10, "bs", "RPFD:bob@far.example.net\n");
    job = take(scene, MQUEUE_TAKEN);
    assert_string_equal(list(scene), "df" ID " qf" ID " xf" ID " ");
    settle(scene, job, &outcome, 1, &decision);
    assert_string_equal(list(scene), "");
    assert_int_equal(decision.mention_count, 0);
    mqueue_decision_free(&decision);
}

/* A body goes only when its envelope is gone from the disk, too: what is doomed while a sync is
 * under way waits for the next one. */
static void
test_doomed_during_a_sync(void **state)
{
    struct scene *scene = *state;
    struct queue_flush flush = {0};

    put(scene, "dffirst", "x");
    put(scene, "dfsecond", "x");
    mqueue_doom(scene->queue, "first");
    queue_sync_begin(&scene->queue, 1, &flush);
    mqueue_doom(scene->queue, "second");
    queue_flush_run(&flush);
    assert_string_equal(list(scene), "dffirst dfsecond ");
    assert_true(queue_sync_end(&scene->queue, 1, &flush, NULL));
    queue_flush_clear(&flush);
    assert_string_equal(list(scene), "dfsecond ");
    assert_true(fixture_sync(scene->queue, NULL));
    assert_string_equal(list(scene), "");
}

/* What took the transcript's place is not written to. */
static void
test_transcript(void **state)
{
    struct scene *scene = *state;
    struct mqueue_job *job;
    char other[128];
    char transcript[128];
    int descriptor;

    put_job(scene, 10, "bs", "RPFD:bob@far.example.net\n");
    job = take(scene, MQUEUE_TAKEN);
    descriptor = mqueue_open_transcript(job);
    assert_true(descriptor >= 0);
    assert_int_equal(fcntl(descriptor, F_GETFL) & (O_ACCMODE | O_APPEND), O_WRONLY | O_APPEND);
    put(scene, "other", "x");
    snprintf(other, sizeof(other), "%s/other", scene->path);
    snprintf(transcript, sizeof(transcript), "%s/xf" ID, scene->path);
    assert_int_equal(rename(other, transcript), 0);
    assert_int_equal(mqueue_open_transcript(job), -1);
    mqueue_release(job);
    assert_int_equal(close(descriptor), 0);
    assert_string_equal(list(scene), "df" ID " qf" ID " ");
}

static void
test_partial(void **state)
{
    struct scene *scene = *state;
    struct mqueue_outcome outcomes[] = {
        {.recipient = 0, .outcome = OUTCOME_SENT, .words = "ok"},
        {.recipient = 1, .outcome = OUTCOME_DEFERRED, .words = "451 4.3.0 busy\r\nSx"},
        {.recipient = 2, .outcome = OUTCOME_DROPPED, .words = "550 5.1.1 no"},
    };
    struct mqueue_decision decision;
    struct mail_record record;
    struct mail_identity identity;
    char expected[512];

    put_job(scene, 10, "bs",
        "RPFD:a@far.example.net\nQrfc822;b\nrRFC822; b\nRPNSD:<b@far.example.net>\nRP:c@c\n");
    settle(scene, take(scene, MQUEUE_TAKEN), outcomes, 3, &decision);
    assert_int_equal(decision.mention_count, 1);
    assert_int_equal(decision.mentions[0].recipient, 2);
    mqueue_decision_free(&decision);
    snprintf(expected, sizeof(expected),
        "Fbs\nSann@example.org\nMDeferred: 451 4.3.0 busy  Sx\nQrfc822;b\nrRFC822; b\n"
        "RPNSD:<b@far.example.net>\nH??Subject: x\n.\n");
    assert_non_null(strstr(get(scene, "qf" ID), expected));
    assert_non_null(strstr(get(scene, "qf" ID), "\nN1\nP120100\nI"));
    assert_string_equal(list(scene), "df" ID " qf" ID " ");
    identity = find(scene, MAIL_DEFERRED);
    assert_true(queue_mail_record(scene->queue, &identity, scene->now, &record));
    assert_int_equal(record.attempts, 1);
    assert_int_equal(record.next_try, scene->now / 1000 * 1000 + 1800000);
}

static void
test_age(void **state)
{
    struct scene *scene = *state;
    struct mqueue_outcome outcome = {.outcome = OUTCOME_DEFERRED, .words = "busy"};
    struct mqueue_decision decision;

    outcome.recipient = MQUEUE_ALL_RECIPIENTS;
    put_job(scene, 5 * 3600, "bs", "RPFD:a@a\nRPNF:b@b\n");
    settle(scene, take(scene, MQUEUE_TAKEN), &outcome, 1, &decision);
    assert_int_equal(decision.mention_count, 1);
    assert_true(decision.mentions[0].kind == MENTION_DELAYED);
    assert_non_null(strstr(get(scene, "qf" ID), "\nFbsw\n"));
    assert_non_null(
        strstr(get(scene, "qf" ID), "\nMWarning: could not send message for past 4 hours\n"));
    mqueue_decision_free(&decision);
    put_job(scene, 5 * 3600, "r", "RPFD:a@a\n");
    settle(scene, take(scene, MQUEUE_TAKEN), &outcome, 1, &decision);
    assert_int_equal(decision.mention_count, 0);
    mqueue_decision_free(&decision);
    put_job(scene, 6 * 86400, "bs", "RPFD:a@a\nRPN:never@b\n");
    settle(scene, take(scene, MQUEUE_TAKEN), &outcome, 1, &decision);
    assert_int_equal(decision.mention_count, 1);
    assert_true(decision.mentions[0].expired);
    mqueue_decision_free(&decision);
    assert_string_equal(list(scene), "");
}

static void
test_locked(void **state)
{
    struct scene *scene = *state;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[128];
    int descriptor;
    int status;
    pid_t child;

    put_job(scene, 10, "bs", "RPFD:a@a\n");
    snprintf(path, sizeof(path), "%s/qf" ID, scene->path);
    descriptor = open(path, O_RDWR);
    assert_int_equal(flock(descriptor, LOCK_SH), 0);
    take(scene, MQUEUE_BUSY);
    close(descriptor);
    mqueue_release(take(scene, MQUEUE_TAKEN));
    child = fork();
    if (child == 0) {
        descriptor = open(path, O_RDWR);
        fcntl(descriptor, F_SETLK, &whole);
        take(scene, MQUEUE_TAKEN);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    {
        struct mqueue_job *job = take(scene, MQUEUE_TAKEN);

        descriptor = open(path, O_RDONLY);
        assert_true(mqueue_is_locked(descriptor));
        close(descriptor);
        mqueue_release(job);
    }
}

static void
test_set_aside(void **state)
{
    struct scene *scene = *state;

    put(scene, "df" ID, "");
    put(scene, "qf" ID, "V8\nXy\n.\n");
    take(scene, MQUEUE_LOST);
    assert_string_equal(list(scene), "Qf" ID " df" ID " ");
    put(scene, "qf" ID, "V8\nqwhy\nSa@a\nRPFD:a@a\n.\n");
    take(scene, MQUEUE_HELD);
    assert_string_equal(list(scene), "Qf" ID " df" ID " hf" ID " ");
    put(scene, "qf" ID, "V8\nSa@a\n");
    take(scene, MQUEUE_LEFT);
    put(scene, "qf" ID, "");
    take(scene, MQUEUE_EMPTY);
    put(scene, "qf" ID, "V8\nSa@a\n.\n");
    take(scene, MQUEUE_FINISHED);
}

static void
test_hold(void **state)
{
    struct scene *scene = *state;
    struct error error;

    put_job(scene, 10, "bs", "RPFD:a@a\n");
    assert_true(mqueue_hold(take(scene, MQUEUE_TAKEN), "sent in testing", &error));
    assert_string_equal(list(scene), "df" ID " hf" ID " ");
    assert_non_null(strstr(get(scene, "hf" ID), "\nqsent in testing\n"));
}

static void
test_strike(void **state)
{
    struct scene *scene = *state;
    struct mail_identity identity;
    struct mail_record record;
    struct mqueue_job *job;
    struct error error;
    uint32_t strikes;

    put_job(scene, 10, "bs", "RPFD:a@a\n");
    job = take(scene, MQUEUE_TAKEN);
    assert_true(mqueue_strike(job, &strikes, &error));
    assert_true(mqueue_strike(job, &strikes, &error));
    assert_int_equal(strikes, 2);
    mqueue_release(job);
    identity = find(scene, MAIL_WAITING);
    queue_mail_record(scene->queue, &identity, scene->now, &record);
    assert_int_equal(record.strikes, 2);
}

static void
test_submit(void **state)
{
    struct scene *scene = *state;
    struct control_recipient recipient = {.address = "ann@example.org", .flags = "PFD"};
    struct control_header header = {.condition = "", .text = "Subject: x", .name_length = 7};
    struct mqueue_submission submission = {.control = {.sender = "<>",
                                               .flags = "r",
                                               .recipients = &recipient,
                                               .recipient_count = 1,
                                               .headers = &header,
                                               .header_count = 1},
        .offset = 2};
    char name[QUEUE_NAME_SIZE];
    char id[MQUEUE_ID_SIZE];
    struct error error;

    put(scene, "body", "x\nthe body\n");
    snprintf(name, sizeof(name), "%s/body", scene->path);
    submission.body = open(name, O_RDONLY);
    if (!mqueue_submit(scene->queue, &submission, scene->now, id, &error))
        fail_msg("%s", error.text);
    close(submission.body);
    assert_true(strlen(id) >= 14);
    snprintf(name, sizeof(name), "df%s", id);
    assert_string_equal(get(scene, name), "the body\n");
    snprintf(name, sizeof(name), "qf%s", id);
    assert_non_null(strstr(get(scene, name), "\nP30009\nI"));
    assert_non_null(
        strstr(get(scene, name), "\nFr\nS<>\nRPFD:ann@example.org\nH??Subject: x\n.\n"));
    assert_true(queue_name_is_mail(scene->queue, name));
}

static void
note_alone(void *context, const char *name)
{
    strcat(strcat(context, name), " ");
}

/* Sweeps at NOW; the files that belong to no job, each with a blank after it. */
static const char *
sweep(struct scene *scene, int64_t now)
{
    static char alone[256];
    const struct queue_sweep_rules rules = {.alone = note_alone, .context = alone};
    struct queue_sweep *swept = queue_sweep_begin(scene->queue, &rules);
    enum queue_result result = QUEUE_MORE;
    struct error error;

    alone[0] = '\0';
    while (result == QUEUE_MORE)
        result = queue_sweep_step(swept, now, 1, &error);
    queue_sweep_end(swept);
    assert_int_equal(result, QUEUE_DONE);
    return alone;
}

/* What deaths leave: with a control file beside it, and without one. */
static void
test_leftovers(void **state)
{
    struct scene *scene = *state;
    static const char ALL[] = "df" ID " dfAA00001 qf" ID " tf" ID " tfAA00002 xf" ID " xfAA00003 ";
    char path[128];
    int writer;

    put_job(scene, 0, "bs", "RPFD:bob@example.org\n");
    put(scene, "tf" ID, "half");
    put(scene, "xf" ID, "said");
    put(scene, "dfAA00001", "lost");
    put(scene, "tfAA00002", "half");
    put(scene, "xfAA00003", "said");
    assert_string_equal(sweep(scene, scene->now + 3500000), "");
    assert_string_equal(list(scene), ALL);
    snprintf(path, sizeof(path), "%s/tf" ID, scene->path);
    writer = open(path, O_RDWR);
    assert_int_equal(flock(writer, LOCK_EX), 0);
    assert_non_null(strstr(sweep(scene, scene->now + 3700000), "dfAA00001 "));
    assert_string_equal(list(scene), "df" ID " dfAA00001 qf" ID " tf" ID " tfAA00002 xf" ID " ");
    close(writer);
    assert_non_null(strstr(sweep(scene, scene->now + 3700000), "tfAA00002 "));
    assert_string_equal(list(scene), "df" ID " dfAA00001 qf" ID " tfAA00002 xf" ID " ");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_doomed_during_a_sync, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transcript, setup, teardown),
        cmocka_unit_test_setup_teardown(test_partial, setup, teardown),
        cmocka_unit_test_setup_teardown(test_age, setup, teardown),
        cmocka_unit_test_setup_teardown(test_locked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_set_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hold, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strike, setup, teardown),
        cmocka_unit_test_setup_teardown(test_submit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leftovers, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
