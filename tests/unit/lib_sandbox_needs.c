/*
 * Each role, from inside: what it needs works.
 */
#include "tests/unit/sandbox_scene.h"

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
    NEED(syncfs(queue_descriptor) == 0);
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
    expect_each(OPEN, execute, PASSED, "executing a program");
    expect_each(OPEN, open_outside, PASSED, "opening a file");
    if (!SANDBOX_SANITIZED)
        expect_each(EVERYONE, abort_itself, -SIGABRT, "abort");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_needs),
    };

    return cmocka_run_group_tests(tests, make_scene, remove_scene);
}
