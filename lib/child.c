#include <signal.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/child.h"

static void
reset_signals(void)
{
    sigset_t none;

    for (int i = 1; i < SIGRTMIN; i++)
        signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

pid_t
child_fork(struct error *error)
{
    sigset_t all;
    sigset_t before;
    pid_t pid;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    pid = fork();
    if (pid >= 0)
        setpgid(pid, 0); /* whoever of both is first */
    else
        error_errno(error, "fork");
    if (pid == 0)
        reset_signals();
    else
        sigprocmask(SIG_SETMASK, &before, NULL);
    return pid;
}

bool
child_die_with(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return false;
    if (getppid() != parent)
        _exit(EX_TEMPFAIL);
    return true;
}
