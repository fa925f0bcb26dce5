#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "token/command.h"

/* Octets of the longest output. */
#define OUTPUT_SIZE 65536
/* Of what it says to standard error, the last octets are kept. */
#define WORDS_SIZE 400

#define PATH_STANDARD "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#define ENVIRONMENT_SIZE 8

struct command {
    LIST_ENTRY(command) next;
    const char *program;
    pid_t pid; /* of it, and of its group */
    int output; /* these two: the reading ends */
    int errors;
    struct event *output_event;
    struct event *errors_event;
    struct event *limit;
    char *octets; /* OUTPUT_SIZE of them, guarded */
    size_t length;
    char words[WORDS_SIZE];
    size_t words_length;
    bool late; /* these two: killed for that */
    bool too_long;
    command_done *done;
    void *context;
};

static LIST_HEAD(, command) commands;

/* ---- in the child ---- */

/* What programs expect to find. Nothing of this process's environment but the time zone, which is
 * all that it has. */
static void
make_environment(const struct account_settings *account, char *environment[ENVIRONMENT_SIZE])
{
    const struct passwd *user = getpwuid(geteuid());
    const char *zone = getenv("TZ");
    size_t count = 0;

    environment[count++] = memory_copy_text("PATH=" PATH_STANDARD);
    environment[count++] = memory_copy_text("LC_ALL=C.UTF-8");
    environment[count++] = memory_format("HOME=%s", user != NULL ? user->pw_dir : "/");
    environment[count++] = memory_format("SMAILER_ACCOUNT=%s", account->address);
    environment[count++] = memory_format("SMAILER_USER=%s", account->user);
    if (zone != NULL)
        environment[count++] = memory_format("TZ=%s", zone);
    environment[count] = NULL;
}

static bool
arrange_descriptors(int output, int errors)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    return null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
           dup2(errors, STDERR_FILENO) >= 0 && close_range(STDERR_FILENO + 1, ~0U, 0) == 0;
}

static _Noreturn void
become(const struct account_settings *account, int output, int errors, pid_t parent)
{
    char *environment[ENVIRONMENT_SIZE];
    char **arguments = memory_new(account->token_command.count + 1, sizeof(*arguments));

    for (size_t i = 0; i < account->token_command.count; i++)
        arguments[i] = account->token_command.texts[i];
    make_environment(account, environment);
    if (arrange_descriptors(output, errors) && child_die_with(parent) && chdir("/") == 0)
        execve(arguments[0], arguments, environment);
    dprintf(STDERR_FILENO, "it cannot be executed: %s\n", strerror(errno));
    _exit(127);
}

/* ---- its end ---- */

static void
free_command(struct command *command)
{
    LIST_REMOVE(command, next);
    event_free(command->output_event);
    event_free(command->errors_event);
    event_free(command->limit);
    close(command->output);
    close(command->errors);
    memory_guarded_free(command->octets, OUTPUT_SIZE);
    free(command);
}

/* The last line of standard error that has something in it, and its octets. */
static const char *
find_last_words(const struct command *command, size_t *length)
{
    size_t end = command->words_length;
    size_t begin;

    while (end > 0 && strchr("\r\n\t ", command->words[end - 1]) != NULL)
        end--;
    begin = end;
    while (begin > 0 && command->words[begin - 1] != '\n' && command->words[begin - 1] != '\r')
        begin--;
    *length = end - begin;
    return command->words + begin;
}

/* How it ended; false where that was well. */
static bool
describe_end(const struct command *command, int status, struct error *error)
{
    int64_t limit = service_configuration()->programs[ROLE_TOKEN].time_limit;
    size_t length;
    const char *words = find_last_words(command, &length);

    if (command->late)
        error_set(error, "did not end within %g s", (double)limit / 1000);
    else if (command->too_long)
        error_set(error, "printed more than %d octets", OUTPUT_SIZE);
    else if (WIFSIGNALED(status))
        error_set(
            error, "was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        error_set(error, "ended with status %d%s%.*s", WEXITSTATUS(status), length > 0 ? ": " : "",
            (int)length, words);
    else
        return false;
    return true;
}

/* ---- while it runs ---- */

static void
kill_command(const struct command *command)
{
    kill(-command->pid, SIGKILL);
}

/* Reads what there is. */
static void
read_output(struct command *command)
{
    char beyond;
    ssize_t count = 1;

    while (count > 0 && command->length < OUTPUT_SIZE) {
        count =
            read(command->output, command->octets + command->length, OUTPUT_SIZE - command->length);
        if (count > 0)
            command->length += (size_t)count;
    }
    if (count > 0 && read(command->output, &beyond, 1) > 0) {
        command->too_long = true;
        kill_command(command);
    }
    if (count == 0 || command->too_long)
        event_del(command->output_event);
}

/* A NUL would end the words early. */
static void
keep_words(struct command *command, const char *octets, size_t length)
{
    size_t over;

    if (length > WORDS_SIZE) {
        octets += length - WORDS_SIZE;
        length = WORDS_SIZE;
    }
    over = command->words_length + length;
    over = over > WORDS_SIZE ? over - WORDS_SIZE : 0;
    memmove(command->words, command->words + over, command->words_length - over);
    command->words_length -= over;
    for (size_t i = 0; i < length; i++)
        command->words[command->words_length++] = (char)(octets[i] != '\0' ? octets[i] : '?');
}

static void
read_errors(struct command *command)
{
    char octets[4096];
    ssize_t count;

    while ((count = read(command->errors, octets, sizeof(octets))) > 0)
        keep_words(command, octets, (size_t)count);
    if (count == 0)
        event_del(command->errors_event);
}

static void
on_output(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    read_output(context);
}

static void
on_errors(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    read_errors(context);
}

static void
on_limit(evutil_socket_t descriptor, short what, void *context)
{
    struct command *command = context;

    (void)descriptor;
    (void)what;
    command->late = true;
    kill_command(command);
}

/* It is a zombie still, so its group's number is nobody else's. */
static void
finish(struct command *command)
{
    struct error error;
    int status = 0;
    bool failed;

    read_output(command);
    read_errors(command);
    kill_command(command);
    waitpid(command->pid, &status, 0);
    failed = describe_end(command, status, &error);
    command->done(command->context, command->octets, command->length, failed ? error.text : NULL);
    free_command(command);
}

static void
on_child_ended(evutil_socket_t signal_number, short what, void *context)
{
    struct command *command;
    struct command *after;

    (void)signal_number;
    (void)what;
    (void)context;
    for (command = LIST_FIRST(&commands); command != NULL; command = after) {
        siginfo_t end = {0};

        after = LIST_NEXT(command, next);
        if (waitid(P_PID, (id_t)command->pid, &end, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            end.si_pid == command->pid)
            finish(command);
    }
}

bool
commands_open(struct error *error)
{
    struct event *child_ended = evsignal_new(service_base(), SIGCHLD, on_child_ended, NULL);

    LIST_INIT(&commands);
    if (child_ended == NULL || event_add(child_ended, NULL) != 0)
        return error_set(error, "watch the commands");
    return true;
}

/* ---- its beginning ---- */

static bool
open_pipes(int output[static 2], int errors[static 2], struct error *error)
{
    if (pipe2(output, O_CLOEXEC) != 0)
        return error_errno(error, "make a pipe");
    if (pipe2(errors, O_CLOEXEC) == 0)
        return true;
    error_errno(error, "make a pipe");
    close(output[0]);
    close(output[1]);
    return false;
}

static struct event *
watch(int descriptor, event_callback_fn callback, struct command *command)
{
    struct event *event =
        event_new(service_base(), descriptor, EV_READ | EV_PERSIST, callback, command);

    evutil_make_socket_nonblocking(descriptor);
    if (event == NULL || event_add(event, NULL) != 0)
        fatal(EX_OSERR, "no event for a command");
    return event;
}

static struct command *
add(const char *program, pid_t pid, int output, int errors)
{
    struct command *command = memory_new(1, sizeof(*command));

    command->program = program;
    command->pid = pid;
    command->output = output;
    command->errors = errors;
    command->octets = memory_guarded(OUTPUT_SIZE);
    command->output_event = watch(output, on_output, command);
    command->errors_event = watch(errors, on_errors, command);
    command->limit = service_timer(on_limit, command);
    service_timer_start(command->limit, service_configuration()->programs[ROLE_TOKEN].time_limit);
    LIST_INSERT_HEAD(&commands, command, next);
    return command;
}

struct command *
command_start(
    const struct account_settings *account, command_done *done, void *context, struct error *error)
{
    struct command *command;
    int output[2] = {-1, -1};
    int errors[2] = {-1, -1};
    pid_t token = getpid();
    pid_t pid;

    if (!open_pipes(output, errors, error))
        return NULL;
    pid = child_fork(error);
    if (pid == 0)
        become(account, output[1], errors[1], token);
    close(output[1]);
    close(errors[1]);
    if (pid < 0) {
        close(output[0]);
        close(errors[0]);
        return NULL;
    }
    command = add(account->token_command.texts[0], pid, output[0], errors[0]);
    command->done = done;
    command->context = context;
    return command;
}

void
commands_end(void)
{
    struct command *command;

    LIST_FOREACH(command, &commands, next)
    kill_command(command);
}
