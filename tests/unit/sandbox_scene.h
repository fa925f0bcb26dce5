/*
 * What the tests of the sandbox share: a queue, a listening socket, and children that play a role.
 */
#ifndef SMAILER_TESTS_SANDBOX_SCENE_H
#define SMAILER_TESTS_SANDBOX_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/privilege.h"
#include "lib/sandbox.h"
#include "lib/sandbox_parts.h"

#define PASSED 0
#define REFUSED 1 /* the call failed with EPERM or EACCES */
#define SURPRISE 2 /* it failed otherwise, or what should work did not */

#define CHILDREN                                                                                   \
    (ROLE_BIT(ROLE_PICKUP) | ROLE_BIT(ROLE_CLEANUP) | ROLE_BIT(ROLE_QMGR) | ROLE_BIT(ROLE_SMTP) |  \
        ROLE_BIT(ROLE_CONTROL) | ROLE_BIT(ROLE_WORKER) | ROLE_BIT(ROLE_CLIENT) |                   \
        ROLE_BIT(ROLE_SQL))
#define CONNECTORS (ROLE_BIT(ROLE_SMTP) | ROLE_BIT(ROLE_WORKER) | ROLE_BIT(ROLE_SQL))
#define OPEN (ROLE_BIT(ROLE_MASTER) | ROLE_BIT(ROLE_TOKEN))
#define EVERYONE (CHILDREN | OPEN)

static char top[64];
static char queue[96];
static int queue_descriptor;
static struct sockaddr_in listener_address;
static int listener;

/* What a role's program would be given for the queue. */
static inline const struct sandbox_path *
role_paths(enum role role, size_t *count)
{
    static struct sandbox_path path;

    *count = 0;
    if (role == ROLE_PICKUP)
        path = (struct sandbox_path){queue, -1, SANDBOX_READ | SANDBOX_LIST};
    else if (role == ROLE_QMGR)
        path = (struct sandbox_path){
            NULL, queue_descriptor, SANDBOX_READ | SANDBOX_LIST | SANDBOX_WRITE};
    else
        return NULL;
    *count = 1;
    return &path;
}

static inline void
enter(enum role role)
{
    struct error error = {0};
    size_t count;
    const struct sandbox_path *paths = role_paths(role, &count);

    if (role == ROLE_WORKER && !sandbox_enter(ROLE_SMTP, NULL, 0, SANDBOX_AUTO, &error))
        _exit(SURPRISE);
    if (sandbox_enter(role, paths, count, SANDBOX_AUTO, &error))
        return;
    fprintf(stderr, "%s: %s\n", role_name(role), error.text);
    _exit(SURPRISE);
}

/* What became of ATTEMPT in a child that plays ROLE: its exit status, or minus its signal. */
static inline int
play(enum role role, int (*attempt)(void))
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        enter(role);
        _exit(attempt());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static inline void
expect_each(unsigned int roles, int (*attempt)(void), int expected, const char *what)
{
    for (size_t role = 0; role < ROLE_COUNT; role++) {
        int result;

        if ((roles & ROLE_BIT(role)) == 0)
            continue;
        result = play((enum role)role, attempt);
        if (result != expected)
            fail_msg("%s: %s gave %d, not %d", role_name((enum role)role), what, result, expected);
    }
}

static inline int
verdict(long result)
{
    if (result >= 0)
        return PASSED;
    return errno == EPERM || errno == EACCES ? REFUSED : SURPRISE;
}

static inline long
landlock_version(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
}

static inline void
need_landlock(long version)
{
    if (landlock_version() < version)
        skip();
}

static inline void
need_seccomp(void)
{
    if (SANDBOX_SANITIZED || prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
        skip();
}

#define NEED(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s: %s\n", #condition, strerror(errno));                              \
            return SURPRISE;                                                                       \
        }                                                                                          \
    } while (0)

/* ---- what both try ---- */

static inline int
open_outside(void)
{
    return verdict(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static inline int
execute(void)
{
    char name[] = "true";
    char *const arguments[] = {name, NULL};

    return verdict(execv("/bin/true", arguments));
}

static inline int
connect_listener(void)
{
    int out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return verdict(connect(out, (struct sockaddr *)&listener_address, sizeof(listener_address)));
}

/* ---- the scene ---- */

static inline void
make_file(const char *directory, const char *name)
{
    char path[128];
    int descriptor;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(descriptor >= 0);
    close(descriptor);
}

static inline int
make_scene(void **state)
{
    socklen_t size = sizeof(listener_address);

    (void)state;
    snprintf(top, sizeof(top), "/tmp/sandbox.XXXXXX");
    assert_non_null(mkdtemp(top));
    snprintf(queue, sizeof(queue), "%s/queue", top);
    assert_int_equal(mkdir(queue, 0700), 0);
    make_file(queue, "mail");
    make_file(top, "beside");
    queue_descriptor = open(queue, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    listener_address.sin_family = AF_INET;
    listener_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&listener_address, size), 0);
    assert_int_equal(listen(listener, 64), 0);
    return getsockname(listener, (struct sockaddr *)&listener_address, &size);
}

static inline int
remove_scene(void **state)
{
    char path[128];

    (void)state;
    unlinkat(queue_descriptor, "mail", 0);
    snprintf(path, sizeof(path), "%s/beside", top);
    unlink(path);
    rmdir(queue);
    return rmdir(top);
}

#endif
