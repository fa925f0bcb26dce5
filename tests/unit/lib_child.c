#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/child.h"

static void
on_signal(int number)
{
    (void)number;
}

static bool
is_clean(void)
{
    sigset_t blocked;
    bool clean = getpgrp() == getpid() && sigprocmask(SIG_SETMASK, NULL, &blocked) == 0;

    for (int i = 1; clean && i < SIGRTMIN; i++) {
        struct sigaction action;

        if (sigaction(i, NULL, &action) == 0)
            clean = action.sa_handler == SIG_DFL && sigismember(&blocked, i) == 0;
    }
    return clean;
}

static void
a_child_has_no_signals_of_its_parents(void **state)
{
    struct error error;
    sigset_t blocked;
    int status;
    pid_t pid;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_signal);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    pid = child_fork(&error);
    if (pid == 0)
        _exit(is_clean() ? 0 : 1);
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    assert_int_equal(sigismember(&blocked, SIGUSR1), 1);
    assert_int_equal(sigismember(&blocked, SIGUSR2), 0);
}

static void
its_group_is_there_at_once(void **state)
{
    struct error error;
    pid_t pid = child_fork(&error);

    (void)state;
    if (pid == 0)
        for (;;)
            pause();
    assert_int_equal(kill(-pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* The grandchild holds the pipe; its end is that pipe's. */
static void
it_dies_with_its_parent(void **state)
{
    struct error error;
    int ends[2];
    char octet;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    pid = child_fork(&error);
    if (pid == 0) {
        pid_t parent = getpid();

        if (child_fork(&error) != 0)
            _exit(0);
        if (!child_die_with(parent))
            _exit(1);
        for (;;)
            pause();
    }
    close(ends[1]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    alarm(60);
    assert_int_equal(read(ends[0], &octet, 1), 0);
    alarm(0);
    close(ends[0]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_has_no_signals_of_its_parents),
        cmocka_unit_test(its_group_is_there_at_once),
        cmocka_unit_test(it_dies_with_its_parent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
