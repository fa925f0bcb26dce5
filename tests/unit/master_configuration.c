/*
 * Reading the configuration's files, and finding the bases.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/sealed.h"
#include "master/configuration_file.h"
#include "master/queues.h"
#include "master/spelling.h"

#define ACCOUNT "account foo@example.com {\n sids = { a }\n relay = mx.example.com\n"

/* A directory for the files of one test. */
struct place {
    char directory[64];
    struct configuration configuration;
    struct secrets secrets;
    struct error error;
};

static int
entry_remove(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

static void
file_write(const struct place *place, const char *name, const char *text, mode_t mode)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", place->directory, name);
    unlink(path);
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    assert_true(descriptor >= 0);
    assert_int_equal(fchmod(descriptor, mode), 0);
    assert_int_equal(write(descriptor, text, strlen(text)), strlen(text));
    close(descriptor);
}

static int
place_make(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    strcpy(place->directory, "/tmp/smailer-test-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    file_write(place, "main.cf", "", 0644);
    file_write(place, "master.cf", "", 0644);
    file_write(place, "accounts.cf", "", 0644);
    *state = place;
    return 0;
}

static int
place_remove(void **state)
{
    struct place *place = *state;
    configuration_free(&place->configuration);
    secrets_free(&place->secrets);
    nftw(place->directory, entry_remove, 8, FTW_DEPTH | FTW_PHYS);
    free(place);
    return 0;
}

static bool
place_load(struct place *place)
{
    configuration_free(&place->configuration);
    secrets_free(&place->secrets);
    place->error.text[0] = '\0';
    return configuration_load(
        place->directory, &place->configuration, &place->secrets, &place->error);
}

/* Loading fails with words that hold WORDS. */
static void
assert_refused(struct place *place, const char *words)
{
    if (place_load(place))
        fail_msg("it was taken, expected: %s", words);
    if (strstr(place->error.text, words) == NULL)
        fail_msg("\"%s\" does not hold \"%s\"", place->error.text, words);
}

static void
assert_loaded(struct place *place)
{
    if (!place_load(place))
        fail_msg("%s", place->error.text);
}

static void
defaults_hold_for_empty_files(void **state)
{
    struct place *place = *state;
    assert_loaded(place);
    assert_int_equal(place->configuration.settings.retry_interval, 3600000);
    assert_int_equal(place->configuration.settings.max_attempts, 100);
    assert_int_equal(place->configuration.settings.max_message_size, 32 << 20);
    assert_int_equal(place->configuration.programs[ROLE_SMTP].instances, 20);
    assert_string_equal(place->configuration.programs[ROLE_CLEANUP].user, "smailer-cleanup");
    assert_null(place->configuration.programs[ROLE_QMGR].user);
}

static void
contract_example_is_taken(void **state)
{
    struct place *place = *state;
    file_write(place, "main.cf",
        "run_directory    = /run/smailer         # pid file, control socket\n"
        "log_level = debug\nlog_to = stderr\nspool_user = \"*\"\ncommit_interval  = 100ms\n"
        "keep_sent = 2w\nmax_message_size = 32M\nunknown_sender = drop\ntesting = \"\"\n"
        "control_users = { anna, jan }\n"
        "spool sowa1 {\n root = /home/sowa/sowa1/katalogi\n path = var/spool/mail\n"
        " pattern = \"*\"\n}\n",
        0644);
    file_write(place, "master.cf", "smtp {\n user = smailer-smtp\n instances = 7\n}\n", 0644);
    file_write(place, "accounts.cf",
        "account foo@example.com {\n sids = { biblioteka }\n name = \"Biblioteka Miejska\"\n"
        " relay = smtp.example.com:587\n tls = starttls\n ca_file = \"\"\n user = foo\n"
        " password_file = secret\n envelope_from = \"\"\n connections = 9\n}\n"
        "account @example.com { sids = \"*\"\n relay = [::1]\n tls = none\n }\n"
        "account default { sids = {a, b}\n relay = mx\n tls = smtps }\n",
        0644);
    file_write(place, "secret", "Zażółć gęślą jaźń\nsecond line\n", 0600);
    assert_loaded(place);
    const struct configuration *configuration = &place->configuration;
    assert_int_equal(configuration->settings.log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(configuration->settings.log_to, LOG_TO_STDERR);
    assert_int_equal(configuration->settings.keep_sent, INT64_C(14) * 24 * 3600 * 1000);
    assert_int_equal(configuration->settings.control_users.count, 2);
    assert_string_equal(configuration->sections[0].path, "var/spool/mail");
    assert_int_equal(configuration->programs[ROLE_SMTP].instances, 7);
    assert_int_equal(configuration->account_count, 3);
    assert_string_equal(configuration->accounts[0].name, "Biblioteka Miejska");
    assert_int_equal(configuration->accounts[0].connections, 9);
    assert_string_equal(configuration->accounts[1].relay.host, "::1");
    assert_int_equal(configuration->accounts[1].relay.port, 25);
    assert_int_equal(configuration->accounts[2].relay.port, 465);
}

struct refusal {
    const char *file;
    const char *text;
    const char *words;
};

static const struct refusal REFUSALS[] = {
    {"main.cf", "\nretry_intervall = 1h\n",
        "main.cf:2: there is no key \"retry_intervall\"; "
        "\"retry_interval\" is meant?"},
    {"main.cf", "rety_interval = 1h\n", "\"retry_interval\" is meant?"},
    {"main.cf", "zzzzzz = 1h\n", "expected run_directory, state_directory"},
    {"main.cf", "retry_interval = 1y\n", "main.cf:1: retry_interval: expected a number and one of"},
    {"main.cf", "retry_interval = 60\n", "such as 30s"},
    {"main.cf", "retry_interval = 99999999999999999999h\n", "retry_interval: expected"},
    {"main.cf", "\n\nmax_attempts = 0\n", "main.cf:3: max_attempts: expected a number, from 1 to"},
    {"main.cf", "max_attempts = -1\n", "max_attempts: expected a number"},
    {"main.cf", "max_message_size = 2G\n", "from 1K to 1G"},
    {"main.cf", "log_level = loud\n", "expected one of error, warn, info, debug, not \"loud\""},
    {"main.cf", "run_directory = run\n", "run_directory: expected a path that begins with /"},
    {"main.cf", "testing = nobody\n", "expected a mail address"},
    {"main.cf", "testing = \"a@b\\nc\"\n", "expected a mail address"},
    {"main.cf", "include(\"/etc/passwd\")\n", "there is no key \"include\""},
    {"main.cf", "spool { }\n", "main.cf:1:"},
    {"main.cf", "spool x {\n root = /a\n}\n", "spool x: \"path\" is missing"},
    {"main.cf", "spool x {\n path = a\n}\n", "spool x: \"root\" is missing"},
    {"main.cf", "spool x {\n root = /a\n path = ../../etc\n}\n", "without .."},
    {"main.cf", "spool x {\n rot = /a\n}\n", "main.cf:2: there is no key \"rot\"; \"root\" is"},
    {"main.cf", "spool x { root=/a path=b }\nspool x { root=/a path=b }\n",
        "main.cf:2: found duplicate title 'x'"},
    {"main.cf", "spool a/b { root=/a path=b }\n", "section \"a/b\": expected a name without /"},
    {"main.cf", "spool x { root=/a path=b\n", "the section \"spool\" does not end: expected }"},
    {"main.cf", "/* never ends\n", "main.cf"},
    {"main.cf", "log_level = \"never ends\n", "main.cf"},
    {"main.cf", "log_level =", "main.cf"},
    {"master.cf", "smpt { }\n", "\"smtp\" is meant?"},
    {"master.cf", "pickup { user = x }\n", "there is no key \"user\""},
    {"master.cf", "smtp { instances = 0 }\n", "instances: expected a number, from 1 to 1000"},
    {"accounts.cf", "account foo@example.com { relay = mx }\n",
        "account foo@example.com: \"sids\" is missing: the bases that may send from it"},
    {"accounts.cf", "account foo@example.com { sids = {}\n relay = mx }\n", "sids"},
    {"accounts.cf", "account foo@example.com { sids = { a } }\n", "\"relay\" is missing"},
    {"accounts.cf", "account foo { sids = { a }\n relay = mx }\n", "account \"foo\": expected an"},
    {"accounts.cf", "account \"\" { sids = { a }\n relay = mx }\n", "account \"\": expected an"},
    {"accounts.cf", "account @ { sids = { a }\n relay = mx }\n", "account \"@\": expected an"},
    {"accounts.cf", "account @a@b { sids = { a }\n relay = mx }\n", "account \"@a@b\": expected"},
    {"accounts.cf", ACCOUNT "}\naccount FOO@Example.com { sids = { a }\n relay = mx }\n",
        "account FOO@Example.com is there twice"},
    {"accounts.cf", ACCOUNT "user = foo\n}\n", "has a user and no password"},
    {"accounts.cf", ACCOUNT "password = foo\n}\n", "has a password and no user"},
    {"accounts.cf", ACCOUNT "user = u\npassword = \"\"\n}\n", "1 to 1024 octets"},
    {"accounts.cf", ACCOUNT "user = u\npassword = a\npassword_file = b\n}\n",
        "expected one of them"},
    {"accounts.cf", ACCOUNT "user = u\npassword = a\ntls = none\n}\n", "plaintext_login = yes"},
    {"accounts.cf", ACCOUNT "user = u\npassword_file = gone\n}\n", "/gone: No such file"},
    {"accounts.cf", ACCOUNT "ca_file = gone\n}\n", "/gone: No such file"},
    {"accounts.cf", ACCOUNT "relay = \"a b\"\n}\n", "relay: expected host or host:port"},
    {"accounts.cf", ACCOUNT "relay = a:0\n}\n", "relay: expected host or host:port"},
    {"accounts.cf", ACCOUNT "relay = a:65536\n}\n", "relay: expected host or host:port"},
    {"accounts.cf", ACCOUNT "relay = a/b\n}\n", "relay: expected host or host:port"},
    {"accounts.cf", ACCOUNT "relay = \"::1\"\n}\n", "relay: expected host or host:port"},
    {"accounts.cf", ACCOUNT "relay = \"[mx]\"\n}\n", "relay: expected host or host:port"},
    {"accounts.cf", ACCOUNT "connections = many\n}\n", "accounts.cf:4: connections: expected"},
};

static void
mistakes_are_refused_with_their_place(void **state)
{
    struct place *place = *state;
    for (size_t i = 0; i < sizeof REFUSALS / sizeof *REFUSALS; i++) {
        file_write(place, REFUSALS[i].file, REFUSALS[i].text, 0600);
        assert_refused(place, REFUSALS[i].words);
        file_write(place, REFUSALS[i].file, "", 0600);
    }
    assert_loaded(place);
}

static void
missing_files_are_refused(void **state)
{
    static const char *const NAMES[] = {"main.cf", "master.cf", "accounts.cf"};
    struct place *place = *state;
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", place->directory, NAMES[i]);
        unlink(path);
        assert_refused(place, path);
        assert_refused(place, "No such file");
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_refused(place, "is no regular file");
        file_write(place, NAMES[i], "", 0644);
    }
}

static void
assert_secret(const struct secrets *secrets, size_t account, const char *expected)
{
    size_t size;
    struct error error;
    const char *octets = sealed_map(secrets->descriptors[account], 4096, &size, &error);
    assert_non_null(octets);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(octets, expected, size);
    sealed_unmap(octets, size);
}

static void
secrets_are_sealed(void **state)
{
    struct place *place = *state;
    file_write(place, "accounts.cf",
        "account default { sids = { a }\n relay = mx }\n" ACCOUNT
        "user = u\npassword = 'pa${HOME} ss'\n}\n"
        "account b@example.com { sids = { a }\n relay = mx\n user = u\n password_file = b }\n",
        0600);
    file_write(place, "b", "of b\r\nsecond line", 0600);
    assert_loaded(place);
    assert_int_equal(place->secrets.count, 3);
    assert_int_equal(place->secrets.descriptors[0], -1);
    assert_secret(&place->secrets, 1, "pa${HOME} ss");
    assert_secret(&place->secrets, 2, "of b");
    assert_int_equal(pwrite(place->secrets.descriptors[2], "x", 1, 0), -1);
}

static void
readable_secrets_are_refused(void **state)
{
    struct place *place = *state;
    file_write(place, "accounts.cf", ACCOUNT "user = u\npassword = a\n}\n", 0604);
    assert_refused(place, "others can read it (mode 604)");
    file_write(place, "accounts.cf", ACCOUNT "user = u\npassword = a\n}\n", 0600);
    assert_loaded(place);
    file_write(place, "accounts.cf", ACCOUNT "user = u\npassword_file = b\n}\n", 0644);
    file_write(place, "b", "secret\n", 0644);
    assert_refused(place, "/b has a secret in it and others can read it (mode 644)");
    file_write(place, "b", "secret\n", 0600);
    assert_loaded(place);
    file_write(place, "b", "\n", 0600);
    assert_refused(place, "1 to 1024 octets");
}

/* Counts TEXT in all memory of this process that can be written, but for what spells TEXT below. */
static size_t
memory_count(const char *text, size_t length)
{
    char line[512];
    size_t found = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx rw", &start, &end) != 2 || strstr(line, " rw-p ") == NULL ||
            strstr(line, "[stack]") != NULL)
            continue;
        const char *at = (const char *)start;
        while ((at = memmem(at, end - (unsigned long)at, text, length)) != NULL) {
            found++;
            at++;
        }
    }
    fclose(maps);
    return found;
}

static void
secrets_leave_memory(void **state)
{
    struct place *place = *state;
    static const char REVERSED[] = "enil-eht-no-8164-yretsym-a";
    char *secret = strdup(REVERSED);
    for (size_t i = 0, j = strlen(secret) - 1; i < j; i++, j--) {
        char swapped = secret[i];
        secret[i] = secret[j];
        secret[j] = swapped;
    }
    char text[512];
    snprintf(text, sizeof text, ACCOUNT "user = u\npassword = \"%s\"\n}\n", secret);
    file_write(place, "accounts.cf", text, 0600);
    explicit_bzero(text, sizeof text);
    assert_loaded(place);
    assert_secret(&place->secrets, 0, secret);
    assert_int_equal(memory_count(secret, strlen(secret)), 1);
    free(secret);
}

/* Writes what was printed into the three files again. */
static void
print_split(const struct place *place, const char *printed)
{
    const char *master = strstr(printed, "# master.cf\n");
    const char *accounts = strstr(printed, "# accounts.cf\n");
    assert_true(master != NULL && accounts != NULL && master < accounts);
    char *main_text = strndup(printed, (size_t)(master - printed));
    char *master_text = strndup(master, (size_t)(accounts - master));
    file_write(place, "main.cf", main_text, 0600);
    file_write(place, "master.cf", master_text, 0600);
    file_write(place, "accounts.cf", accounts, 0600);
    free(main_text);
    free(master_text);
}

static char *
print_make(const struct place *place)
{
    char *printed = NULL;
    size_t size;
    FILE *stream = open_memstream(&printed, &size);
    configuration_print(&place->configuration, stream);
    fclose(stream);
    return printed;
}

static void
what_is_printed_can_be_read(void **state)
{
    struct place *place = *state;
    file_write(place, "main.cf",
        "keep_sent = 90m\nmax_message_size = 3000\ncontrol_users = { a, b }\n"
        "spool 'x\"$y' { root = '/a \"b\\${HOME}'\n path = 'c#d' }\n",
        0644);
    file_write(place, "accounts.cf",
        "account @example.com { sids = { a, 'b/c' }\n relay = '[::1]:2525'\n name = 'Ż \\ \"' }\n",
        0644);
    assert_loaded(place);
    char *first = print_make(place);
    assert_non_null(strstr(first, "keep_sent = \"90m\""));
    print_split(place, first);
    assert_loaded(place);
    assert_string_equal(place->configuration.sections[0].root, "/a \"b\\${HOME}");
    char *second = print_make(place);
    assert_string_equal(first, second);
    free(first);
    free(second);
}

/* Makes the directory NAME below PLACE, and those above it. */
static void
directory_add(const struct place *place, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", place->directory, name);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
}

static void
spools_write(struct place *place)
{
    char text[512];
    snprintf(text, sizeof text,
        "spool one { root = %s/one\n path = var/mail }\n"
        "spool two { root = %s/two\n path = mail\n pattern = \"*.xml\" }\n"
        "spool gone { root = %s/gone\n path = mail }\n",
        place->directory, place->directory, place->directory);
    file_write(place, "main.cf", text, 0644);
    assert_loaded(place);
}

static void
bases_are_found(void **state)
{
    struct place *place = *state;
    char path[128];
    directory_add(place, "one/b/var/mail");
    directory_add(place, "one/a/var/mail");
    directory_add(place, "one/.hidden/var/mail");
    directory_add(place, "one/empty");
    directory_add(place, "two/c/mail");
    file_write(place, "one/file", "", 0644);
    snprintf(path, sizeof path, "%s/one/link", place->directory);
    assert_int_equal(symlink("a", path), 0);
    spools_write(place);
    queues_find(&place->configuration, false);
    const struct queue_settings *queues = place->configuration.queues;
    assert_int_equal(place->configuration.queue_count, 3);
    assert_string_equal(queues[0].sid, "a");
    assert_string_equal(queues[1].sid, "b");
    assert_string_equal(queues[2].section, "two");
    assert_string_equal(queues[2].pattern, "*.xml");
    assert_int_equal(queues[2].interval, 3600000);
    snprintf(path, sizeof path, "%s/one/b/var/mail", place->directory);
    assert_string_equal(queues[1].path, path);
}

static void
bases_that_come_and_go_are_noticed(void **state)
{
    struct place *place = *state;
    char path[128];
    directory_add(place, "one/a/var/mail");
    spools_write(place);
    queues_find(&place->configuration, false);
    assert_false(queues_changed(&place->configuration));
    directory_add(place, "gone/d/mail");
    assert_true(queues_changed(&place->configuration));
    queues_find(&place->configuration, false);
    assert_int_equal(place->configuration.queue_count, 2);
    assert_false(queues_changed(&place->configuration));
    snprintf(path, sizeof path, "%s/gone/d/mail", place->directory);
    assert_int_equal(rmdir(path), 0);
    assert_true(queues_changed(&place->configuration));
}

static void
one_directory_is_one_queue(void **state)
{
    struct place *place = *state;
    char text[256];
    directory_add(place, "one/a/mail");
    snprintf(text, sizeof text,
        "spool x { root = %s/one\n path = mail }\nspool y { root = %s/one/../one\n path = mail }\n",
        place->directory, place->directory);
    file_write(place, "main.cf", text, 0644);
    assert_loaded(place);
    queues_find(&place->configuration, false);
    assert_int_equal(place->configuration.queue_count, 1);
    assert_string_equal(place->configuration.queues[0].section, "x");
}

static void
spelling_counts_slips(void **state)
{
    (void)state;
    assert_int_equal(spelling_distance("relay", "relay"), 0);
    assert_int_equal(spelling_distance("realy", "relay"), 1);
    assert_int_equal(spelling_distance("rely", "relay"), 1);
    assert_int_equal(spelling_distance("relaay", "relay"), 1);
    assert_int_equal(spelling_distance("delay", "relay"), 1);
    assert_int_equal(spelling_distance("", "relay"), 5);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        TEST(defaults_hold_for_empty_files),
        TEST(contract_example_is_taken),
        TEST(mistakes_are_refused_with_their_place),
        TEST(missing_files_are_refused),
        TEST(secrets_are_sealed),
        TEST(readable_secrets_are_refused),
        TEST(secrets_leave_memory),
        TEST(what_is_printed_can_be_read),
        TEST(bases_are_found),
        TEST(bases_that_come_and_go_are_noticed),
        TEST(one_directory_is_one_queue),
        cmocka_unit_test(spelling_counts_slips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
