/*
 * Each role, from inside: what it may not do fails or kills.
 */
#include "tests/unit/sandbox_scene.h"

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
signal_thread_of_parent(void)
{
    return verdict(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

static int
signal_own_thread(void)
{
    return verdict(syscall(SYS_tgkill, getpid(), getpid(), 0));
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
    /* qmgr may move links, so only its filter keeps it from making them. */
    expect_each(CHILDREN & ~(SANDBOX_SANITIZED ? ROLE_BIT(ROLE_QMGR) : 0U), make_link, REFUSED,
        "make a link");
}

static void
test_files_without_landlock(void **state)
{
    (void)state;
    need_seccomp();
    expect_each(ROLE_BIT(ROLE_CLEANUP) | ROLE_BIT(ROLE_CONTROL) | ROLE_BIT(ROLE_CLIENT),
        open_outside, REFUSED, "open");
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
    expect_each(CHILDREN & ~CONNECTORS, make_internet_socket, -SIGSYS, "socket(AF_INET)");
}

static void
test_refused(void **state)
{
    (void)state;
    need_seccomp();
    expect_each(CHILDREN & ~ROLE_BIT(ROLE_SQL), make_unix_socket, REFUSED, "socket(AF_UNIX)");
    expect_each(CHILDREN, map_code, REFUSED, "mmap(PROT_EXEC)");
    expect_each(CHILDREN, set_priority, REFUSED, "setpriority");
    expect_each(CHILDREN, call_unknown, PASSED, "an unknown call");
    expect_each(CHILDREN & ~CONNECTORS, connect_inherited, REFUSED, "connect");
    expect_each(CONNECTORS, bind_port, REFUSED, "bind");
    expect_each(CHILDREN & ~ROLE_BIT(ROLE_SMTP), fork_child, REFUSED, "fork");
    expect_each(CHILDREN & ~ROLE_BIT(ROLE_SMTP), signal_parent, REFUSED, "kill");
    expect_each(CHILDREN, signal_thread_of_parent, REFUSED, "tgkill");
}

/* seccomp alone, so that it does not hide behind Landlock. */
static int
play_seccomp(enum role role, int (*attempt)(void))
{
    pid_t child = fork();
    struct error error;
    int status;

    if (child == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
            sandbox_seccomp(role, &error) != SANDBOX_DONE)
            _exit(SURPRISE);
        _exit(attempt());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* A filter that was made ahead holds for those who are forked later, each with a number of its own.
 */
static void
test_own_process(void **state)
{
    struct error error;

    (void)state;
    need_seccomp();
    assert_true(sandbox_prepare(ROLE_WORKER, &error));
    for (enum role role = 0; role < ROLE_COUNT; role++) {
        if ((CHILDREN & ~ROLE_BIT(ROLE_SMTP) & ROLE_BIT(role)) == 0)
            continue;
        assert_int_equal(play_seccomp(role, signal_own_thread), PASSED);
        assert_int_equal(play_seccomp(role, signal_thread_of_parent), REFUSED);
    }
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
    const struct privilege_user stranger = {.uid = 64321, .gid = 64322};
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_outside),
        cmocka_unit_test(test_files_without_landlock),
        cmocka_unit_test(test_fatal),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_own_process),
        cmocka_unit_test(test_network_of_landlock),
        cmocka_unit_test(test_scope_of_landlock),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_reading_any_needs_landlock),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, make_scene, remove_scene);
}
