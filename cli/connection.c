#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/connection.h"
#include "cli/output.h"
#include "cli/place.h"
#include "cli/tree.h"
#include "lib/run_directory.h"
#include "lib/sandbox.h"
#include "lib/sandbox_parts.h"

/* What a failed connect() says. */
enum found { FOUND_RUNNING, FOUND_NOTHING, FOUND_FAILED };

static bool
make_address(struct sockaddr_un *address, const char *directory)
{
    int length;

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    length = snprintf(
        address->sun_path, sizeof(address->sun_path), "%s/%s", directory, RUN_CONTROL_SOCKET);
    if (length > 0 && (size_t)length < sizeof(address->sun_path))
        return true;
    output_problem(EX_CONFIG, "run_directory is too long for a socket: %s", directory);
    return false;
}

/* FOUND_FAILED was said, its status is in *STATUS; otherwise *DESCRIPTOR is the caller's. */
static enum found
connect_to(const struct sockaddr_un *address, int *descriptor, int *status)
{
    *status = EX_OSERR;
    *descriptor = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (*descriptor < 0) {
        output_problem(EX_OSERR, "make a socket: %s", strerror(errno));
        return FOUND_FAILED;
    }
    if (connect(*descriptor, (const struct sockaddr *)address, sizeof(*address)) == 0)
        return FOUND_RUNNING;
    close(*descriptor);
    *descriptor = -1;
    if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
        return FOUND_NOTHING;
    *status = errno == EACCES ? EX_NOPERM : EX_TEMPFAIL;
    output_problem(*status, "connect to %s: %s", address->sun_path, strerror(errno));
    return FOUND_FAILED;
}

/* Who takes a running program over gets no further than to what is shown. Where the kernel has no
 * such thing, the answer is shown all the same. */
static void
confine(void)
{
    const enum sandbox_mode mode = SANDBOX_SANITIZED ? SANDBOX_OFF : SANDBOX_AUTO;
    struct error error;

    (void)sandbox_enter(ROLE_CLIENT, NULL, 0, mode, &error);
}

static int
ask_running(struct conversation *conversation, int descriptor, const struct message *question)
{
    int status;

    if (conversation->is_all)
        confine();
    status = conversation_hold(conversation, descriptor, question);
    if (status >= 0)
        return status;
    return output_problem(
        EX_TEMPFAIL, "smailer ended, or was restarted, before it answered: try again");
}

static int
refuse_running(int descriptor)
{
    close(descriptor);
    return output_problem(EX_TEMPFAIL,
        "the daemon is running, and --testing is not for it: stop it "
        "first, or set testing in main.cf");
}

int
connection_ask(const struct options *options, enum connection_choice choice,
    struct conversation *conversation, const struct message *question)
{
    struct place place;
    struct sockaddr_un address;
    char directory[PATH_MAX];
    enum found found;
    int descriptor;
    int status = place_find(&place, options->configuration_directory);

    if (status == EX_OK)
        status = place_find_run_directory(&place, directory, sizeof(directory));
    if (status != EX_OK)
        return status;
    if (!make_address(&address, directory))
        return EX_CONFIG;
    conversation->timeout = options->timeout;
    if (choice == CONNECTION_BESIDE)
        return tree_ask(&place, options, conversation, question);
    found = connect_to(&address, &descriptor, &status);
    if (found == FOUND_FAILED)
        return status;
    if (found == FOUND_RUNNING && choice == CONNECTION_OWN)
        return refuse_running(descriptor);
    if (found == FOUND_RUNNING)
        return ask_running(conversation, descriptor, question);
    if (choice == CONNECTION_RUNNING)
        return output_problem(
            EX_UNAVAILABLE, "the daemon is not running: nobody listens at %s", address.sun_path);
    return tree_ask(&place, options, conversation, question);
}

/* Connects in silence; -1 where that fails. */
static int
connect_quietly(const char *run_directory)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(
        address.sun_path, sizeof(address.sun_path), "%s/%s", run_directory, RUN_CONTROL_SOCKET);
    int descriptor = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (descriptor >= 0 && length > 0 && (size_t)length < sizeof(address.sun_path) &&
        connect(descriptor, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return descriptor;
    if (descriptor >= 0)
        close(descriptor);
    return -1;
}

int
connection_try(const char *run_directory, const struct conversation *conversation,
    const struct message *question)
{
    int descriptor = connect_quietly(run_directory);

    return descriptor >= 0 ? conversation_hold(conversation, descriptor, question) : -1;
}

bool
connection_is_running(const struct options *options)
{
    struct place place;
    char directory[PATH_MAX];
    int descriptor;

    if (place_find(&place, options->configuration_directory) != EX_OK ||
        place_find_run_directory(&place, directory, sizeof(directory)) != EX_OK)
        return false;
    descriptor = connect_quietly(directory);
    if (descriptor >= 0)
        close(descriptor);
    return descriptor >= 0;
}

int
connection_become_daemon(const struct options *options)
{
    struct place place;
    int status = place_find(&place, options->configuration_directory);

    return status == EX_OK ? tree_become_daemon(&place, options) : status;
}
