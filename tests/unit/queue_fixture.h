/*
 * A spool in a temporary directory, for the tests of queue/ and of qmgr's committer.
 */
#ifndef SMAILER_QUEUE_FIXTURE_H
#define SMAILER_QUEUE_FIXTURE_H

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "queue/queue.h"
#include "tests/unit/queue_steps.h"

struct fixture {
    char path[64];
    int directory;
    int64_t now; /* ms */
    struct queue_options options;
    struct queue *queue;
};

static inline int
fixture_remove_entry(const char *path, const struct stat *status, int type, struct FTW *position)
{
    (void)status;
    (void)type;
    (void)position;
    return remove(path);
}

static inline int
fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct error error = {0};

    assert_non_null(fixture);
    snprintf(fixture->path, sizeof(fixture->path), "/tmp/smailer-queue.XXXXXX");
    assert_non_null(mkdtemp(fixture->path));
    assert_int_equal(chmod(fixture->path, 0750), 0);
    fixture->directory = open(fixture->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fixture->now = (int64_t)time(NULL) * 1000;
    fixture->options = (struct queue_options){
        .section = "spool",
        .sid = "base",
        .directory = AT_FDCWD,
        .path = fixture->path,
        .max_message_size = 40,
        .retry_interval = 3600000,
        .writable = true,
    };
    fixture->queue = queue_open(queue_kind_find("spool"), &fixture->options, &error);
    if (fixture->queue == NULL)
        fail_msg("%s", error.text);
    *state = fixture;
    return 0;
}

static inline int
fixture_teardown(void **state)
{
    struct fixture *fixture = *state;

    queue_close(fixture->queue);
    close(fixture->directory);
    nftw(fixture->path, fixture_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(fixture);
    return 0;
}

/* As an application replaces a file: another inode, by a rename. */
static inline void
fixture_write(const struct fixture *fixture, const char *name, const char *content)
{
    int file = openat(fixture->directory, ".fixture", O_WRONLY | O_CREAT | O_EXCL, 0640);

    assert_true(file >= 0);
    assert_int_equal(write(file, content, strlen(content)), (ssize_t)strlen(content));
    close(file);
    assert_int_equal(renameat(fixture->directory, ".fixture", fixture->directory, name), 0);
}

static inline struct mail_identity
fixture_find(const struct fixture *fixture, enum mail_state place, const char *name)
{
    struct mail_identity identity;
    struct error error = {0};

    if (queue_mail_find(fixture->queue, place, name, &identity, NULL, &error) != QUEUE_FOUND)
        fail_msg("%s was not found: %s", name, error.text);
    return identity;
}

static inline struct queue_move
fixture_move(
    const struct fixture *fixture, enum mail_state place, const char *name, enum mail_state target)
{
    struct queue_move move = {.queue = fixture->queue, .target = target};
    struct queue_move *moves[] = {&move};

    move.identity = fixture_find(fixture, place, name);
    move.record.attempts = 1;
    move.record.next_try = fixture->now + 1000;
    fixture_make(moves, 1);
    return move;
}

static inline bool
fixture_has(const struct fixture *fixture, const char *path)
{
    return faccessat(fixture->directory, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline bool
fixture_has_record(const struct fixture *fixture, const char *directory, uint64_t hash)
{
    char path[64];

    snprintf(path, sizeof(path), "%s/.state/%016" PRIX64, directory, hash);
    return fixture_has(fixture, path);
}

/* How many entries a directory has, beside .state and the directories of the states. */
static inline int
fixture_count(const struct fixture *fixture, const char *path)
{
    static const char *const OWN[] = {".", "..", ".state", "sent", "defer", "drop"};
    DIR *names = fdopendir(openat(fixture->directory, path, O_RDONLY | O_DIRECTORY));
    const struct dirent *entry;
    int count = 0;

    assert_non_null(names);
    while ((entry = readdir(names)) != NULL) {
        bool own = false;

        for (size_t i = 0; i < sizeof(OWN) / sizeof(OWN[0]); i++)
            own |= strcmp(OWN[i], entry->d_name) == 0;
        count += !own;
    }
    closedir(names);
    return count;
}

#endif
