#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>
#include <unistd.h>

#include <bsd/string.h>

#include "cli/connection.h"
#include "cli/input_message.h"
#include "cli/maildrop.h"
#include "cli/output.h"
#include "cli/place.h"
#include "cli/sendmail_command.h"
#include "cli/submission.h"
#include "lib/sealed.h"
#include "lib/text.h"

/* Root's directories, for a user who may not read where they are. */
#define STANDARD_RUN "/run/smailer"
#define STANDARD_STATE "/var/lib/smailer"

#define NAME_SIZE 256

/* Who the caller is. */
struct caller {
    char user[NAME_SIZE];
    char full_name[NAME_SIZE];
    char host[NAME_SIZE];
};

/* The answer, kept: whoever cannot be asked is no reason to refuse the message. */
struct answer {
    int status; /* -1: none came */
    char words[2001];
};

static void
find_caller(struct caller *caller)
{
    const struct passwd *user = getpwuid(getuid());

    *caller = (struct caller){.user = ""};
    if (user != NULL)
        strlcpy(caller->user, user->pw_name, sizeof(caller->user));
    else
        text_format(caller->user, sizeof(caller->user), "uid%u", (unsigned int)getuid());
    if (user != NULL && user->pw_gecos != NULL)
        strlcpy(caller->full_name, user->pw_gecos, sizeof(caller->full_name));
    caller->full_name[strcspn(caller->full_name, ",")] = '\0';
    if (gethostname(caller->host, sizeof(caller->host) - 1) != 0)
        strlcpy(caller->host, "localhost", sizeof(caller->host));
}

/* Reads standard input and makes a job of it. */
static int
make(const struct sendmail_options *options, int *content, struct error *error)
{
    struct input_message message;
    struct caller caller;
    struct submission_origin origin = {.now = time(NULL)};
    int status;

    find_caller(&caller);
    origin.user = caller.user;
    origin.full_name = caller.full_name;
    origin.host = caller.host;
    if (getrandom(&origin.token, sizeof(origin.token), 0) != sizeof(origin.token))
        origin.token = (uint64_t)getpid();
    status = input_message_read(&message, stdin, options->ignore_dots, error);
    /* Whoever speaks SMTP says where the message ends. */
    if (status == EX_OK && options->mode == SENDMAIL_SMTP && !message.dotted) {
        error_set(error, "the message ends without a dot");
        status = EX_IOERR;
    }
    if (status == EX_OK)
        status = submission_make(options, &message, &origin, content, error);
    input_message_free(&message);
    if (status == EX_OK && !sealed_seal(*content, error))
        status = EX_OSERR;
    return status;
}

static int
keep_answer(void *context, int status, const char *words)
{
    struct answer *answer = context;

    answer->status = status;
    strlcpy(answer->words, words, sizeof(answer->words));
    return status;
}

static void
ask_running(struct answer *answer, const char *run_directory, const struct message *question)
{
    const struct conversation conversation = {.answered = keep_answer, .context = answer};

    if (run_directory[0] != '\0' && answer->status < 0)
        connection_try(run_directory, &conversation, question);
}

/* Leaves it where the next start finds it. */
static int
leave(const char *state_directory, int content)
{
    struct error error;
    char directory[PATH_MAX];

    text_format(directory, sizeof(directory), "%.4000s/maildrop", state_directory);
    if (maildrop_leave(directory, content, &error))
        return EX_OK;
    return output_problem(EX_TEMPFAIL,
        "smailer does not run, and the message cannot be kept for its start: %s", error.text);
}

static int
tell(const struct answer *answer)
{
    return conversation_answered(NULL, answer->status, answer->words);
}

/* Where smailer is, as far as the caller may know. */
struct directories {
    char run[PATH_MAX];
    char state[PATH_MAX];
    bool is_administrator; /* who reads of accounts may start the programs */
};

static void
find_directories(const struct sendmail_options *options, struct directories *directories)
{
    struct place place;

    *directories = (struct directories){.is_administrator = false};
    if (place_find_readable(&place, options->configuration, "main.cf") &&
        place_find_run_directory(&place, directories->run, sizeof(directories->run)) == EX_OK &&
        place_find_state_directory(&place, directories->state, sizeof(directories->state)) == EX_OK)
        directories->is_administrator =
            place_find_readable(&place, options->configuration, "accounts.cf");
    if (directories->state[0] == '\0')
        strlcpy(directories->state, STANDARD_STATE, sizeof(directories->state));
}

/* Hands CONTENT to the running smailer; or, where none runs, to programs of its own, which only who
 * may read the configuration can start; or leaves it for the next start. */
static int
hand_over(const struct sendmail_options *options, int content)
{
    const struct message question = {
        MESSAGE_SUBMIT, .submit = {.directory = "", .content = content}};
    const struct conversation nothing = {.handler_count = 0};
    struct answer answer = {.status = -1};
    struct directories directories;

    find_directories(options, &directories);
    ask_running(&answer, directories.run, &question);
    if (answer.status < 0 && options->configuration == NULL && geteuid() != 0)
        ask_running(&answer, STANDARD_RUN, &question);
    if (answer.status >= 0 && answer.status != EX_TEMPFAIL)
        return tell(&answer);
    if (answer.status < 0 && directories.is_administrator)
        answer.status = sendmail_ask(options, &nothing, &question);
    /* Nobody takes it now: it restarts, perhaps. */
    if (answer.status < 0 || answer.status == EX_TEMPFAIL)
        return leave(directories.state, content);
    return answer.status;
}

/* The same for a directory of -oQ. */
static int
hand_to_directory(const struct sendmail_options *options, int content)
{
    const struct conversation nothing = {.handler_count = 0};
    const char *directory = sendmail_directory(options);
    const struct message question = {
        MESSAGE_SUBMIT, .submit = {.directory = directory, .content = content}};

    return directory != NULL ? sendmail_ask(options, &nothing, &question) : EX_CONFIG;
}

int
sendmail_take(const struct sendmail_options *options)
{
    struct error error = {.code = 0};
    int content = -1;
    int status = make(options, &content, &error);

    if (status != EX_OK)
        status = output_problem(status, "%s", error.text);
    else if (options->queue_directory != NULL)
        status = hand_to_directory(options, content);
    else
        status = hand_over(options, content);
    if (content >= 0)
        close(content);
    /* The disk did not take it: that may be better later. */
    return status == EX_CANTCREAT ? EX_TEMPFAIL : status;
}

int
sendmail_submit(const struct sendmail_options *options)
{
    return output_end(sendmail_take(options));
}
