/*
 * Each role, from inside: what it may not do fails or kills, what it needs works.
 */
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
        ROLE_BIT(ROLE_CONTROL) | ROLE_BIT(ROLE_WORKER) | ROLE_BIT(ROLE_CLIENT))
#define EVERYONE (CHILDREN | ROLE_BIT(ROLE_MASTER))

static char top[64];
static char queue[96];
static int queue_descriptor;
static struct sockaddr_in listener_address;
static int listener;

/* What a role's program would be given for the queue. */
static const struct sandbox_path *
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

static void
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
static int
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

static void
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

static int
verdict(long result)
{
    if (result >= 0)
        return PASSED;
    return errno == EPERM || errno == EACCES ? REFUSED : SURPRISE;
}

static long
landlock_version(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
}

static void
need_landlock(long version)
{
    if (landlock_version() < version)
        skip();
}

static void
need_seccomp(void)
{
    if (SANDBOX_SANITIZED || prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
        skip();
}

/* ---- what is refused ---- */

static int
open_outside(void)
{
    return verdict(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int
open_above(void)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/beside", top);
    return verdict(open(path, O_RDONLY | O_CLOEXEC));
}

static int
create_outside(void)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/new", top);
    return verdict(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int
create_inside(void)
{
    return verdict(openat(queue_descriptor, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int
rename_outside(void)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/escaped", top);
    return verdict(renameat2(queue_descriptor, "mail", AT_FDCWD, path, RENAME_NOREPLACE)) == PASSED
               ? PASSED
               : REFUSED;
}

static int
make_link(void)
{
    return verdict(symlinkat("/etc/passwd", queue_descriptor, "link"));
}

static int
execute(void)
{
    char name[] = "true";
    char *const arguments[] = {name, NULL};

    return verdict(execv("/bin/true", arguments));
}

static int
be_traced(void)
{
    return verdict(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int
read_parent(void)
{
    char byte;
    struct iovec here = {&byte, 1};

    return verdict(process_vm_readv(getppid(), &here, 1, &here, 1, 0));
}

static int
leave_namespace(void)
{
    return verdict(unshare(CLONE_NEWUSER));
}

static int
become_root(void)
{
    return verdict(setresuid(0, 0, 0));
}

static int
make_packet_socket(void)
{
    return verdict(socket(AF_PACKET, SOCK_RAW, 0));
}

static int
make_kernel_crypto_socket(void)
{
    return verdict(socket(AF_ALG, SOCK_SEQPACKET, 0));
}

static int
make_internet_socket(void)
{
    return verdict(socket(AF_INET, SOCK_STREAM, 0));
}

static int
make_unix_socket(void)
{
    return verdict(socket(AF_UNIX, SOCK_STREAM, 0));
}

/* The descriptor was there before the sandbox: only the call can be at fault. */
static int
connect_inherited(void)
{
    return verdict(
        connect(dup(listener), (struct sockaddr *)&listener_address, sizeof(listener_address)));
}

static int
bind_port(void)
{
    const struct sockaddr_in any = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int bound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return bound < 0 ? SURPRISE : verdict(bind(bound, (const struct sockaddr *)&any, sizeof(any)));
}

static int
map_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
               0) == MAP_FAILED
               ? verdict(-1)
               : PASSED;
}

static int
signal_parent(void)
{
    return verdict(kill(getppid(), 0));
}

static int
fork_child(void)
{
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    return verdict(child);
}

static int
call_unknown(void)
{
    errno = 0;
    return syscall(500) < 0 && errno == ENOSYS ? PASSED : SURPRISE;
}

static int
set_priority(void)
{
    return verdict(setpriority(PRIO_PROCESS, 0, 0));
}

static void
test_files_outside(void **state)
{
    (void)state;
    need_landlock(1);
    expect_each(CHILDREN & ~ROLE_BIT(ROLE_SMTP), open_outside, REFUSED, "open /etc/passwd");
    expect_each(CHILDREN, open_above, REFUSED, "open a file beside the queue");
    expect_each(CHILDREN, create_outside, REFUSED, "create a file beside the queue");
    expect_each(CHILDREN & ~ROLE_BIT(ROLE_QMGR), create_inside, REFUSED, "create in the queue");
    expect_each(CHILDREN, rename_outside, REFUSED, "move a mail out of the queue");
    expect_each(CHILDREN, make_link, REFUSED, "make a link");
}

static void
test_files_without_landlock(void **state)
{
    (void)state;
    need_seccomp();
    expect_each(ROLE_BIT(ROLE_CLEANUP) | ROLE_BIT(ROLE_CLIENT), open_outside, REFUSED, "open");
    expect_each(CHILDREN, make_link, REFUSED, "symlinkat");
}

static void
test_fatal(void **state)
{
    (void)state;
    need_seccomp();
    expect_each(CHILDREN, execute, -SIGSYS, "execve");
    expect_each(EVERYONE, be_traced, -SIGSYS, "ptrace");
    expect_each(EVERYONE, read_parent, -SIGSYS, "process_vm_readv");
    expect_each(EVERYONE, leave_namespace, -SIGSYS, "unshare");
    expect_each(CHILDREN, become_root, -SIGSYS, "setresuid");
    expect_each(EVERYONE, make_packet_socket, -SIGSYS, "socket(AF_PACKET)");
    expect_each(EVERYONE, make_kernel_crypto_socket, -SIGSYS, "socket(AF_ALG)");
    expect_each(CHILDREN & ~(ROLE_BIT(ROLE_SMTP) | ROLE_BIT(ROLE_WORKER)), make_internet_socket,
        -SIGSYS, "socket(AF_INET)");
}

static void
test_refused(void **state)
{
    (void)state;
    need_seccomp();
    expect_each(CHILDREN, make_unix_socket, REFUSED, "socket(AF_UNIX)");
    expect_each(CHILDREN, map_code, REFUSED, "mmap(PROT_EXEC)");
    expect_each(CHILDREN, set_priority, REFUSED, "setpriority");
    expect_each(CHILDREN, call_unknown, PASSED, "an unknown call");
    expect_each(CHILDREN & ~(ROLE_BIT(ROLE_SMTP) | ROLE_BIT(ROLE_WORKER)), connect_inherited,
        REFUSED, "connect");
    expect_each(ROLE_BIT(ROLE_SMTP) | ROLE_BIT(ROLE_WORKER), bind_port, REFUSED, "bind");
    expect_each(CHILDREN & ~ROLE_BIT(ROLE_SMTP), fork_child, REFUSED, "fork");
    expect_each(CHILDREN & ~ROLE_BIT(ROLE_SMTP), signal_parent, REFUSED, "kill");
}

/* Landlock alone, so that it does not hide behind seccomp. */
static int
play_landlock(enum role role, int (*attempt)(void))
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
            sandbox_landlock(role, NULL, 0, NULL) != SANDBOX_DONE)
            _exit(SURPRISE);
        _exit(attempt());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : SURPRISE;
}

static int
connect_listener(void)
{
    int out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return verdict(connect(out, (struct sockaddr *)&listener_address, sizeof(listener_address)));
}

static void
test_network_of_landlock(void **state)
{
    (void)state;
    need_landlock(4);
    assert_int_equal(play_landlock(ROLE_CONTROL, bind_port), REFUSED);
    assert_int_equal(play_landlock(ROLE_CONTROL, connect_listener), REFUSED);
    assert_int_equal(play_landlock(ROLE_WORKER, bind_port), REFUSED);
    assert_int_equal(play_landlock(ROLE_WORKER, connect_listener), PASSED);
}

static void
test_scope_of_landlock(void **state)
{
    (void)state;
    need_landlock(6);
    assert_int_equal(play_landlock(ROLE_SMTP, signal_parent), REFUSED);
    assert_int_equal(play(ROLE_SMTP, signal_parent), REFUSED);
}

/* ---- what works ---- */

#define NEED(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s: %s\n", #condition, strerror(errno));                              \
            return SURPRISE;                                                                       \
        }                                                                                          \
    } while (0)

/* A descriptor through a pair, as the programs' pipes carry them. */
static int
pass_descriptor(int descriptor)
{
    int pair[2];
    char byte = 'x';
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr header = {.msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control)};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);

    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &descriptor, sizeof(int));
    NEED(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    NEED(sendmsg(pair[0], &header, MSG_NOSIGNAL) == 1);
    NEED(recvmsg(pair[1], &header, MSG_CMSG_CLOEXEC) == 1);
    return PASSED;
}

static int
common_needs(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    struct stat status;
    char byte;
    int memory;
    int loop;

    NEED((memory = memfd_create("message", MFD_ALLOW_SEALING | MFD_CLOEXEC)) >= 0);
    NEED(write(memory, "hello", 5) == 5);
    NEED(fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) == 0);
    NEED(pread(memory, &byte, 1, 0) == 1 && byte == 'h');
    NEED(fstat(memory, &status) == 0 && status.st_size == 5);
    NEED(pass_descriptor(memory) == PASSED);
    NEED((loop = epoll_create1(EPOLL_CLOEXEC)) >= 0);
    NEED(epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event) == 0);
    NEED(epoll_wait(loop, &event, 1, 0) >= 0);
    NEED(fprintf(stderr, "%s", "") == 0);
    free(malloc(8 << 20));
    return prctl(PR_GET_DUMPABLE) == SANDBOX_SANITIZED ? PASSED : SURPRISE;
}

static int
abort_itself(void)
{
    abort();
}

static int
read_queue(void)
{
    char path[128];
    int watch;
    int mail;

    snprintf(path, sizeof(path), "%s/mail", queue);
    NEED((watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) >= 0);
    NEED(inotify_add_watch(watch, queue, IN_CLOSE_WRITE | IN_MOVED_TO) >= 0);
    NEED((mail = openat(queue_descriptor, "mail", O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) >= 0);
    NEED(open(path, O_RDONLY | O_CLOEXEC) >= 0);
    return pass_descriptor(mail);
}

static void *
commit_thread(void *argument)
{
    return argument;
}

static int
start_thread(void)
{
    pthread_t thread;

    errno = pthread_create(&thread, NULL, commit_thread, NULL);
    NEED(errno == 0);
    return pthread_join(thread, NULL) == 0 ? PASSED : SURPRISE;
}

static int
move_in_queue(void)
{
    int record;

    NEED(mkdirat(queue_descriptor, "defer", 0700) == 0);
    NEED((record = openat(queue_descriptor, "defer/.new", O_WRONLY | O_CREAT | O_EXCL, 0600)) >= 0);
    NEED(write(record, "x", 1) == 1 && fsync(record) == 0);
    NEED(futimens(record, NULL) == 0 && fchown(record, getuid(), getgid()) == 0);
    NEED(
        renameat2(queue_descriptor, "mail", queue_descriptor, "defer/mail", RENAME_NOREPLACE) == 0);
    NEED(
        renameat2(queue_descriptor, "defer/mail", queue_descriptor, "mail", RENAME_NOREPLACE) == 0);
    NEED(unlinkat(queue_descriptor, "defer/.new", 0) == 0);
    NEED(unlinkat(queue_descriptor, "defer", AT_REMOVEDIR) == 0);
    return start_thread();
}

static int
deliver(void)
{
    const struct addrinfo hints = {.ai_flags = AI_ADDRCONFIG, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;

    NEED(connect_listener() == PASSED);
    NEED(start_thread() == PASSED);
    NEED(open("/etc/hosts", O_RDONLY | O_CLOEXEC) >= 0);
    NEED(getaddrinfo("localhost", "25", &hints, &found) == 0);
    freeaddrinfo(found);
    return PASSED;
}

static int
run_worker(void)
{
    pid_t child = fork();
    struct error error;
    int status;

    if (child == 0)
        _exit(sandbox_enter(ROLE_WORKER, NULL, 0, SANDBOX_AUTO, &error) ? deliver() : SURPRISE);
    NEED(child > 0 && waitpid(child, &status, 0) == child);
    NEED((child = fork()) >= 0);
    if (child == 0)
        pause();
    NEED(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? PASSED : SURPRISE;
}

static int
accept_client(void)
{
    NEED(fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
    NEED(accept4(listener, NULL, NULL, SOCK_CLOEXEC) >= 0 || errno == EAGAIN);
    return PASSED;
}

static void
test_needs(void **state)
{
    (void)state;
    expect_each(CHILDREN, common_needs, PASSED, "what all do");
    expect_each(ROLE_BIT(ROLE_PICKUP), read_queue, PASSED, "reading the queue");
    expect_each(ROLE_BIT(ROLE_QMGR), move_in_queue, PASSED, "moving in the queue");
    expect_each(ROLE_BIT(ROLE_SMTP), run_worker, PASSED, "a worker");
    expect_each(ROLE_BIT(ROLE_WORKER), deliver, PASSED, "delivering");
    expect_each(ROLE_BIT(ROLE_CONTROL), accept_client, PASSED, "accepting");
    expect_each(ROLE_BIT(ROLE_MASTER), execute, PASSED, "executing a program");
    expect_each(ROLE_BIT(ROLE_MASTER), open_outside, PASSED, "opening a file");
    if (!SANDBOX_SANITIZED)
        expect_each(EVERYONE, abort_itself, -SIGABRT, "abort");
}

/* ---- modes ---- */

static int
enter_mode(enum sandbox_mode mode, const struct sandbox_path *paths, size_t count)
{
    pid_t child = fork();
    struct error error;
    int status;

    if (child == 0)
        _exit(sandbox_enter(ROLE_CLEANUP, paths, count, mode, &error) ? open_outside() : SURPRISE);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : SURPRISE;
}

static void
test_modes(void **state)
{
    const struct sandbox_path missing = {"/nonexistent/queue", -1, SANDBOX_READ};
    const struct sandbox_path closed = {NULL, -1, SANDBOX_READ};

    (void)state;
    assert_int_equal(enter_mode(SANDBOX_OFF, NULL, 0), PASSED);
    need_landlock(1);
    assert_int_equal(enter_mode(SANDBOX_REQUIRED, NULL, 0), REFUSED);
    assert_int_equal(enter_mode(SANDBOX_AUTO, &missing, 1), REFUSED);
    assert_int_equal(enter_mode(SANDBOX_AUTO, &closed, 1), SURPRISE);
}

/* What spool_user = "*" leaves to pickup does not go with sandbox = off. */
static void
test_reading_any_needs_landlock(void **state)
{
    const struct privilege_user stranger = {64321, 64322};
    pid_t child;
    int status;

    (void)state;
    if (!privilege_is_root())
        skip();
    child = fork();
    if (child == 0) {
        struct error error;

        if (!privilege_drop(&stranger, PRIVILEGE_READ_ANY, &error) || !privilege_reads_any())
            _exit(SURPRISE);
        _exit(sandbox_enter(ROLE_PICKUP, NULL, 0, SANDBOX_OFF, &error) ? PASSED : REFUSED);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == REFUSED);
}

static void *
wait_forever(void *argument)
{
    pause();
    return argument;
}

static int
enter_with_threads(void)
{
    struct error error;
    pthread_t thread;

    NEED(pthread_create(&thread, NULL, wait_forever, NULL) == 0);
    NEED(pthread_create(&thread, NULL, wait_forever, NULL) == 0);
    return sandbox_enter(ROLE_CLEANUP, NULL, 0, SANDBOX_AUTO, &error) ? PASSED : REFUSED;
}

static void
test_threads(void **state)
{
    int status;
    pid_t child;

    (void)state;
    if (SANDBOX_SANITIZED || access("/proc/self/task", X_OK) != 0)
        skip();
    child = fork();
    if (child == 0)
        _exit(enter_with_threads());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == REFUSED);
}

/* ---- the scene ---- */

static void
make_file(const char *directory, const char *name)
{
    char path[128];
    int descriptor;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(descriptor >= 0);
    close(descriptor);
}

static int
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

static int
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_outside),
        cmocka_unit_test(test_files_without_landlock),
        cmocka_unit_test(test_fatal),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_network_of_landlock),
        cmocka_unit_test(test_scope_of_landlock),
        cmocka_unit_test(test_needs),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_reading_any_needs_landlock),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, make_scene, remove_scene);
}
