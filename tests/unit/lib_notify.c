/*
 * What the service manager hears.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/notify.h"

/* A socket of the service manager's at NAME ("@…": abstract). */
static int
open_manager(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t length = strlen(name);
    int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, name, length);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    assert_int_equal(bind(manager, (struct sockaddr *)&address,
                         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
        0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return manager;
}

static void
assert_hears(int manager, const char *words)
{
    char heard[256] = {0};

    assert_true(recv(manager, heard, sizeof(heard) - 1, 0) > 0);
    assert_string_equal(heard, words);
}

static void
test_states(int manager)
{
    struct error error;
    char heard[256] = {0};

    assert_true(notify_send(NOTIFY_READY, &error));
    assert_hears(manager, "READY=1");
    assert_true(notify_send(NOTIFY_STOPPING, &error));
    assert_hears(manager, "STOPPING=1");
    assert_true(notify_send(NOTIFY_RELOADING, &error));
    assert_true(recv(manager, heard, sizeof(heard) - 1, 0) > 0);
    assert_ptr_equal(strstr(heard, "RELOADING=1\nMONOTONIC_USEC="), heard);
    assert_true(strtoull(strrchr(heard, '=') + 1, NULL, 10) > 0);
}

static void
test_path(void **state)
{
    char name[64];
    int manager;

    (void)state;
    snprintf(name, sizeof(name), "/tmp/notify.%d", (int)getpid());
    manager = open_manager(name);
    test_states(manager);
    unlink(name);
    close(manager);
}

static void
test_abstract(void **state)
{
    char name[64];
    int manager;

    (void)state;
    snprintf(name, sizeof(name), "@smailer-notify-%d", (int)getpid());
    manager = open_manager(name);
    test_states(manager);
    close(manager);
}

static void
test_nobody(void **state)
{
    struct error error;

    (void)state;
    unsetenv("NOTIFY_SOCKET");
    assert_true(notify_send(NOTIFY_READY, &error));
}

static void
test_errors(void **state)
{
    char name[200];
    struct error error = {0};

    (void)state;
    setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
    assert_false(notify_send(NOTIFY_READY, &error));
    assert_non_null(strstr(error.text, "/nonexistent/notify"));
    setenv("NOTIFY_SOCKET", "relative", 1);
    assert_false(notify_send(NOTIFY_READY, &error));
    memset(name, 'x', sizeof(name));
    name[0] = '/';
    name[sizeof(name) - 1] = '\0';
    setenv("NOTIFY_SOCKET", name, 1);
    assert_false(notify_send(NOTIFY_READY, &error));
    assert_non_null(strstr(error.text, "NOTIFY_SOCKET"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_abstract),
        cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
