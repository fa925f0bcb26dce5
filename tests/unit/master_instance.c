#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/memory.h"
#include "master/instance.h"

static char directory[PATH_MAX];

static int
make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/smailer-unit-XXXXXX");
    return mkdtemp(directory) == NULL;
}

static int
remove_directory(void **state)
{
    (void)state;
    return rmdir(directory);
}

static char *
path_of(const char *name)
{
    return memory_format("%s/%s", directory, name);
}

static bool
exists(const char *name)
{
    char *path = path_of(name);
    bool is = access(path, F_OK) == 0;

    free(path);
    return is;
}

static void
pid_is_written_and_removed(void **state)
{
    struct instance instance;
    struct error error;
    char *path = path_of("smailer.pid");
    char *second = path_of("other.pid");
    char text[32] = "";
    FILE *file;

    (void)state;
    assert_int_equal(instance_take(&instance, directory, second, &error), EX_OK);
    file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    assert_int_equal(strtol(text, NULL, 10), getpid());
    assert_true(exists("other.pid"));
    instance_release(&instance);
    assert_false(exists("smailer.pid"));
    assert_false(exists("other.pid"));
    free(path);
    free(second);
}

static void
one_file_for_both_is_fine(void **state)
{
    struct instance instance;
    struct error error;
    char *path = path_of("smailer.pid");

    (void)state;
    assert_int_equal(instance_take(&instance, directory, path, &error), EX_OK);
    assert_true(exists("smailer.pid"));
    instance_release(&instance);
    assert_false(exists("smailer.pid"));
    free(path);
}

static void
a_second_one_is_told_of_the_first(void **state)
{
    struct instance first;
    struct instance second;
    struct error error;
    char words[128];

    (void)state;
    assert_int_equal(instance_take(&first, directory, NULL, &error), EX_OK);
    assert_int_equal(instance_take(&second, directory, NULL, &error), EX_TEMPFAIL);
    snprintf(words, sizeof(words),
        "smailer is already active (pid %d). Multiple instances are not supported.", (int)getpid());
    assert_string_equal(error.text, words);
    instance_release(&second);
    assert_true(exists("smailer.pid"));
    instance_release(&first);
}

static void
a_dead_ones_leftovers_are_taken_over(void **state)
{
    struct instance instance;
    struct error error;
    int status;
    pid_t pid = fork();

    (void)state;
    if (pid == 0)
        _exit(instance_take(&instance, directory, NULL, &error) != EX_OK ||
              !instance_listen(&instance, directory, &error));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(exists("smailer.pid"));
    assert_true(exists("control"));
    assert_int_equal(instance_take(&instance, directory, NULL, &error), EX_OK);
    assert_true(instance_listen(&instance, directory, &error));
    instance_release(&instance);
    assert_false(exists("control"));
}

static void
everybody_may_connect(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct instance instance;
    struct error error;
    struct stat status;

    (void)state;
    assert_int_equal(instance_take(&instance, directory, NULL, &error), EX_OK);
    assert_true(instance_listen(&instance, directory, &error));
    snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/control", directory);
    assert_int_equal(stat(address.sun_path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0666);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
    close(client);
    instance_release(&instance);
}

static void
names_of_another_master_stay(void **state)
{
    struct instance old;
    struct instance new;
    struct error error;
    char *path = path_of("smailer.pid");

    (void)state;
    assert_int_equal(instance_take(&old, directory, NULL, &error), EX_OK);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(instance_take(&new, directory, NULL, &error), EX_OK);
    instance_release(&old);
    assert_true(exists("smailer.pid"));
    instance_release(&new);
    assert_false(exists("smailer.pid"));
    free(path);
}

static void
too_long_a_path_is_said(void **state)
{
    struct instance instance = {.pid_descriptor = -1, .listener = -1};
    struct error error;
    char longest[200];

    (void)state;
    memset(longest, 'a', sizeof(longest) - 1);
    longest[0] = '/';
    longest[sizeof(longest) - 1] = '\0';
    assert_false(instance_listen(&instance, longest, &error));
    assert_non_null(strstr(error.text, "more than 107 octets"));
    instance_release(&instance);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            pid_is_written_and_removed, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(
            one_file_for_both_is_fine, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(
            a_second_one_is_told_of_the_first, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(
            a_dead_ones_leftovers_are_taken_over, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(everybody_may_connect, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(
            names_of_another_master_stay, make_directory, remove_directory),
        cmocka_unit_test(too_long_a_path_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
