#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/log.h"
#include "lib/text.h"
#include "master/daemon.h"

/* What goes through the pipe; shorter than PIPE_BUF, so it is written at once. */
struct report {
    int status;
    char words[1024];
};

bool
daemon_open_standard(struct error *error)
{
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
        /* The lowest free one is the one that is missing. */
        if (fcntl(i, F_GETFD) < 0 && open("/dev/null", O_RDWR) != i)
            return error_errno(error, "open /dev/null as descriptor %d", i);
    }
    return true;
}

static void
show(const char *words)
{
    if (words[0] != '\0')
        fprintf(stderr, "%s\n", words);
}

static _Noreturn void
wait_for_report(int pipe)
{
    struct report report;
    ssize_t size;

    do
        size = read(pipe, &report, sizeof(report));
    while (size < 0 && errno == EINTR);
    if (size != (ssize_t)sizeof(report)) {
        show("smailer-master ended before everything ran; its log may say why");
        exit(EX_SOFTWARE);
    }
    report.words[sizeof(report.words) - 1] = '\0';
    show(report.words);
    exit(report.status);
}

bool
daemon_detach(int *report, struct error *error)
{
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_errno(error, "make a pipe");
    pid = fork();
    if (pid < 0)
        return error_errno(error, "fork");
    if (pid > 0) {
        close(ends[1]);
        wait_for_report(ends[0]);
    }
    close(ends[0]);
    *report = ends[1];
    if (setsid() < 0)
        return error_errno(error, "begin a session");
    return true;
}

/* The terminal is let go; the log has a descriptor of its own. */
static void
leave_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0) {
        log_warn("open /dev/null: %s; standard input and output stay open", strerror(errno));
        return;
    }
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
        if (dup2(null, i) < 0)
            log_warn("close descriptor %d: %s", i, strerror(errno));
    }
    close(null);
}

void
daemon_report(int *report, int status, const char *words)
{
    struct report line = {.status = status};

    if (*report < 0) {
        show(words);
        return;
    }
    text_format(line.words, sizeof(line.words), "%s", words);
    /* Who waited may have been killed; that changes nothing here. */
    if (write(*report, &line, sizeof(line)) != (ssize_t)sizeof(line))
        log_warn("nobody waits for the start any more");
    close(*report);
    *report = -1;
    leave_terminal();
}
