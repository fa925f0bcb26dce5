/*
 * The promises of sendmail's queue: the process dies before each of its changes in turn. No job is
 * lost, no recipient who is still to get it, and no control file is left that sendmail would
 * refuse.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "queue/mqueue.h"
#include "tests/unit/queue_steps.h"

#define ID "AA00001"
#define DEAD 42
#define STEPS_MAX 100

static int steps_left = -1; /* -1: no end */
static bool naming_fails;

static void
step(void)
{
    if (steps_left == 0)
        _exit(DEAD);
    if (steps_left > 0)
        steps_left--;
}

int
renameat2(int source, const char *from, int target, const char *to, unsigned int flags)
{
    step();
    if (naming_fails && flags == RENAME_NOREPLACE && from[0] == 't') {
        errno = EIO;
        return -1;
    }
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

/* Dies after half of it, too. */
ssize_t
write(int descriptor, const void *octets, size_t count)
{
    step();
    if (steps_left == 0 && count > 1)
        count /= 2;
    return syscall(SYS_write, descriptor, octets, count);
}

int
fsync(int descriptor)
{
    step();
    return (int)syscall(SYS_fsync, descriptor);
}

int
fdatasync(int descriptor)
{
    step();
    return (int)syscall(SYS_fdatasync, descriptor);
}

struct scene {
    char path[64];
    struct queue *queue;
    int64_t now;
};

static struct queue *
open_queue(const struct scene *scene)
{
    struct error error = {0};
    struct queue_options options = {.section = "sendmail",
        .sid = "sendmail",
        .directory = AT_FDCWD,
        .path = scene->path,
        .max_message_size = 1 << 20,
        .retry_interval = 1000,
        .writable = true};
    struct queue *queue = queue_open(queue_kind_find("mqueue"), &options, &error);

    if (queue == NULL)
        fail_msg("%s", error.text);
    return queue;
}

static void
put(const struct scene *scene, const char *name, const char *text)
{
    char path[128];
    FILE *stream;

    snprintf(path, sizeof(path), "%s/%s", scene->path, name);
    stream = fopen(path, "w");
    assert_non_null(stream);
    fputs(text, stream);
    fclose(stream);
    assert_int_equal(chmod(path, 0600), 0);
}

static void
begin(struct scene *scene)
{
    char text[256];

    memset(scene, 0, sizeof(*scene));
    snprintf(scene->path, sizeof(scene->path), "/tmp/smailer-death.XXXXXX");
    assert_non_null(mkdtemp(scene->path));
    scene->now = (int64_t)time(NULL) * 1000;
    snprintf(text, sizeof(text),
        "V8\nT%" PRId64 "\nK0\nN0\nP1\nFbs\nSa@a\nRPFD:one@x\nRPFD:two@x\nH??Subject: x\n.\n",
        scene->now / 1000);
    put(scene, "qf" ID, text);
    put(scene, "df" ID, "body\n");
}

static void
end(struct scene *scene)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", scene->path);
    assert_int_equal(system(command), 0);
}

static struct mqueue_job *
take(const struct scene *scene, struct queue *queue)
{
    struct mail_identity identity;
    struct mqueue_job *job = NULL;
    struct error error;

    for (enum mail_state place = MAIL_WAITING; place <= MAIL_DEFERRED; place++)
        if (queue_mail_find(queue, place, "qf" ID, &identity, NULL, &error) == QUEUE_FOUND)
            assert_int_equal(
                mqueue_take(queue, &identity, true, scene->now, &job, &error), MQUEUE_TAKEN);
    return job;
}

static void
settle(const struct scene *scene, const struct mqueue_outcome *outcomes, size_t count)
{
    struct queue *queue = open_queue(scene);
    struct mqueue_job *job = take(scene, queue);
    struct mqueue_decision decision;
    struct error error;

    if (job == NULL) {
        queue_close(queue);
        return;
    }
    mqueue_decide(job, outcomes, count, scene->now, &decision);
    if (!mqueue_settle(job, &decision, scene->now, &error) || !fixture_sync(queue, &error))
        fail_msg("%s", error.text);
    mqueue_decision_free(&decision);
    queue_close(queue);
}

static void
send_one(const struct scene *scene)
{
    const struct mqueue_outcome outcomes[] = {
        {.recipient = 0, .outcome = OUTCOME_SENT},
        {.recipient = 1, .outcome = OUTCOME_DEFERRED, .words = "busy"},
    };

    settle(scene, outcomes, 2);
}

static void
send_all(const struct scene *scene)
{
    const struct mqueue_outcome all = {.recipient = MQUEUE_ALL_RECIPIENTS, .outcome = OUTCOME_SENT};

    settle(scene, &all, 1);
}

static void
hold(const struct scene *scene)
{
    struct queue *queue = open_queue(scene);
    struct error error;

    assert_true(mqueue_hold(take(scene, queue), "why", &error));
    queue_close(queue);
}

static bool
try_to_submit(const struct scene *scene, char id[MQUEUE_ID_SIZE])
{
    struct queue *queue = open_queue(scene);
    struct control_recipient recipient = {.address = "new@x", .flags = "PFD"};
    struct mqueue_submission submission = {
        .control = {.sender = "<>", .recipients = &recipient, .recipient_count = 1}};
    char path[128];
    struct error error;
    bool done;

    snprintf(path, sizeof(path), "%s/df" ID, scene->path);
    submission.body = open(path, O_RDONLY);
    done = mqueue_submit(queue, &submission, scene->now, id, &error);
    close(submission.body);
    queue_close(queue);
    return done;
}

static void
submit(const struct scene *scene)
{
    char id[MQUEUE_ID_SIZE];

    assert_true(try_to_submit(scene, id));
}

/* Each control file is whole, and its data is there. Returns how many jobs there are. */
static size_t
check_jobs(const struct scene *scene, char recipients[256])
{
    DIR *names = opendir(scene->path);
    const struct dirent *entry;
    struct control_file control;
    struct error error;
    size_t count = 0;

    recipients[0] = '\0';
    while ((entry = readdir(names)) != NULL) {
        char text[4096];
        char path[512];
        ssize_t length;
        int descriptor;

        if (strncmp(entry->d_name, "qf", 2) != 0 && strncmp(entry->d_name, "hf", 2) != 0)
            continue;
        count++;
        snprintf(path, sizeof(path), "%s/%s", scene->path, entry->d_name);
        descriptor = open(path, O_RDONLY);
        length = read(descriptor, text, sizeof(text));
        close(descriptor);
        assert_true(length >= 0);
        if (control_file_parse(&control, text, (size_t)length, &error) != CONTROL_GOOD)
            fail_msg("%s: %s", entry->d_name, error.text);
        for (size_t i = 0; i < control.recipient_count; i++) {
            strcat(recipients, control.recipients[i].address);
            strcat(recipients, " ");
        }
        control_file_free(&control);
        path[strlen(scene->path) + 1] = 'd';
        assert_int_equal(access(path, F_OK), 0);
    }
    closedir(names);
    return count;
}

/* Runs WORK in a process that dies before its STEPSth change. True where it came to its end. */
static bool
die_after(int steps, const struct scene *scene, void (*work)(const struct scene *))
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        steps_left = steps;
        work(scene);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == DEAD);
    return WEXITSTATUS(status) == 0;
}

/* What is left, for real sendmail to look at: a directory of its own below $SMAILER_LEFT. */
static void
keep(const struct scene *scene)
{
    static unsigned int count;
    const char *left = getenv("SMAILER_LEFT");
    char command[512];

    if (left == NULL)
        return;
    snprintf(command, sizeof(command), "cp -a %s %s/%u", scene->path, left, count++);
    assert_int_equal(system(command), 0);
}

/* Dies at each step of WORK, and looks with CHECK at what is left. */
static void
die_everywhere(void (*work)(const struct scene *), void (*check)(const struct scene *, bool ended))
{
    bool ended = false;
    int steps;

    for (steps = 0; !ended && steps < STEPS_MAX; steps++) {
        struct scene scene;

        begin(&scene);
        ended = die_after(steps, &scene, work);
        keep(&scene);
        check(&scene, ended);
        end(&scene);
    }
    assert_true(ended && steps > 3);
}

static void
check_rewritten(const struct scene *scene, bool ended)
{
    char recipients[256];

    assert_int_equal(check_jobs(scene, recipients), 1);
    if (ended || strcmp(recipients, "one@x two@x ") != 0)
        assert_string_equal(recipients, "two@x ");
    send_all(scene);
    assert_int_equal(check_jobs(scene, recipients), 0);
}

static void
check_removed(const struct scene *scene, bool ended)
{
    char recipients[256];
    size_t count = check_jobs(scene, recipients);

    assert_true(count == 0 || !ended);
    if (count == 1)
        assert_string_equal(recipients, "one@x two@x ");
    send_all(scene);
    assert_int_equal(check_jobs(scene, recipients), 0);
}

static void
check_held(const struct scene *scene, bool ended)
{
    char recipients[256];

    (void)ended;
    assert_int_equal(check_jobs(scene, recipients), 1);
    assert_string_equal(recipients, "one@x two@x ");
}

static void
check_submitted(const struct scene *scene, bool ended)
{
    char recipients[256];
    size_t count = check_jobs(scene, recipients);

    assert_true(count == 2 || (count == 1 && !ended));
}

static void
test_rewriting(void **state)
{
    (void)state;
    die_everywhere(send_one, check_rewritten);
}

static void
test_removing(void **state)
{
    (void)state;
    die_everywhere(send_all, check_removed);
}

static void
test_holding(void **state)
{
    (void)state;
    die_everywhere(hold, check_held);
}

static void
test_submitting(void **state)
{
    (void)state;
    die_everywhere(submit, check_submitted);
}

/* A notice with an id is taken for one that is on the disk. */
static void
test_failing_to_submit_leaves_no_id(void **state)
{
    struct scene scene;
    char recipients[256];
    char id[MQUEUE_ID_SIZE];

    (void)state;
    begin(&scene);
    naming_fails = true;
    assert_false(try_to_submit(&scene, id));
    naming_fails = false;
    assert_string_equal(id, "");
    assert_int_equal(check_jobs(&scene, recipients), 1);
    assert_true(try_to_submit(&scene, id));
    assert_string_not_equal(id, "");
    assert_int_equal(check_jobs(&scene, recipients), 2);
    end(&scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rewriting),
        cmocka_unit_test(test_removing),
        cmocka_unit_test(test_holding),
        cmocka_unit_test(test_submitting),
        cmocka_unit_test(test_failing_to_submit_leaves_no_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
