#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <bsd/string.h>

#include "cli/output.h"
#include "cli/place.h"
#include "lib/text.h"

#define STANDARD_CONFIGURATION "/etc/smailer"

/* The directory of this program, without a slash at its end. */
static bool
find_own_directory(char *target, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", target, size - 1);
    char *slash;

    if (length <= 0)
        return false;
    target[length] = '\0';
    slash = strrchr(target, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    return true;
}

static bool
join_path(char *target, const char *directory, const char *name)
{
    return text_format(target, PATH_MAX, "%s/%s", directory, name);
}

static bool
find_master(char *target, const char *directory)
{
    static const char *const NAMES[] = {"smailer-master", "../sbin/smailer-master"};

    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (join_path(target, directory, NAMES[i]) && access(target, X_OK) == 0)
            return true;
    }
    return false;
}

/* A configuration that cannot be read is said here, in words; what is in it, master judges. */
static int
check_configuration(const char *directory)
{
    char main_file[PATH_MAX];

    if (!join_path(main_file, directory, "main.cf"))
        return output_problem(EX_CONFIG, "%s: the name is too long", directory);
    if (access(main_file, R_OK) == 0)
        return EX_OK;
    return output_problem(errno == EACCES ? EX_NOPERM : EX_CONFIG,
        "the configuration %s cannot be read: %s%s", main_file, strerror(errno),
        errno == ENOENT ? "; -c CONFDIR names the directory that it is in" : "");
}

/* Finds the names, whatever is there. */
static int
locate(struct place *place, const char *configuration)
{
    char directory[PATH_MAX];

    if (!find_own_directory(directory, sizeof(directory)) || !find_master(place->master, directory))
        return output_problem(EX_OSFILE, "smailer-master is not beside this program");
    if (configuration == NULL && access(STANDARD_CONFIGURATION, F_OK) != 0 &&
        join_path(place->configuration, directory, "../conf") &&
        access(place->configuration, F_OK) == 0)
        return EX_OK;
    if (configuration == NULL)
        configuration = STANDARD_CONFIGURATION;
    if (strlcpy(place->configuration, configuration, PATH_MAX) >= PATH_MAX)
        return output_problem(EX_USAGE, "-c: the name is too long");
    return EX_OK;
}

int
place_find(struct place *place, const char *configuration)
{
    int status = locate(place, configuration);

    return status == EX_OK ? check_configuration(place->configuration) : status;
}

bool
place_find_readable(struct place *place, const char *configuration, const char *name)
{
    char file[PATH_MAX];

    return locate(place, configuration) == EX_OK && join_path(file, place->configuration, name) &&
           access(file, R_OK) == 0;
}

int
place_execute_master(const struct place *place, const char *const *arguments)
{
    signal(SIGPIPE, SIG_DFL);
    execv(place->master, (char *const *)(uintptr_t)arguments);
    return output_problem(EX_OSERR, "execute %s: %s", place->master, strerror(errno));
}

int
place_wait(int child)
{
    int status;

    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return output_problem(EX_OSERR, "wait for smailer-master: %s", strerror(errno));
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
}

/* One line from PIPE, until its end. */
static bool
read_line(int pipe, char *target, size_t size)
{
    size_t used = 0;
    ssize_t count;

    while (used < size - 1 && (count = read(pipe, target + used, size - 1 - used)) != 0) {
        if (count < 0 && errno != EINTR)
            return false;
        used += count > 0 ? (size_t)count : 0;
    }
    target[used] = '\0';
    if (strchr(target, '\n') == NULL)
        return false;
    *strchr(target, '\n') = '\0';
    return true;
}

static _Noreturn void
print_directory(const struct place *place, const char *option, int output)
{
    const char *const arguments[] = {"smailer-master", option, "-c", place->configuration, NULL};

    if (dup2(output, STDOUT_FILENO) < 0)
        _exit(output_problem(EX_OSERR, "dup2: %s", strerror(errno)));
    _exit(place_execute_master(place, arguments));
}

static int
find_directory(const struct place *place, const char *option, char *target, size_t size)
{
    int ends[2];
    pid_t child;
    bool is_read;
    int status;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return output_problem(EX_OSERR, "make a pipe: %s", strerror(errno));
    child = fork();
    if (child < 0)
        return output_problem(EX_OSERR, "fork: %s", strerror(errno));
    if (child == 0)
        print_directory(place, option, ends[1]);
    close(ends[1]);
    is_read = read_line(ends[0], target, size);
    close(ends[0]);
    status = place_wait(child);
    if (status == EX_OK && !is_read)
        return output_problem(EX_SOFTWARE, "smailer-master did not say where its directories are");
    return status;
}

int
place_find_run_directory(const struct place *place, char *target, size_t size)
{
    return find_directory(place, "--print-run-directory", target, size);
}

int
place_find_state_directory(const struct place *place, char *target, size_t size)
{
    return find_directory(place, "--print-state-directory", target, size);
}
