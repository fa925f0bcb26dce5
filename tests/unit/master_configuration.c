/*
 * Reading the configuration's files, and printing what they say.
 */
#include "tests/unit/configuration_place.h"

#include "lib/log.h"
#include "lib/spelling.h"
#include "master/queues.h"

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
    assert_string_equal(place->configuration.programs[ROLE_QMGR].user, "");
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
    {"master.cf", "pickup { instances = 2 }\n", "there is no key \"instances\""},
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
    {"accounts.cf", ACCOUNT "user = u\ntoken_command = { /bin/true }\ntls = none\n}\n",
        "plaintext_login = yes"},
    {"accounts.cf", ACCOUNT "user = u\npassword = a\ntoken_command = { /bin/true }\n}\n",
        "expected one of them"},
    {"accounts.cf", ACCOUNT "token_command = { /bin/true }\n}\n",
        "has a token_command and no user"},
    {"accounts.cf", ACCOUNT "user = u\ntoken_command = { true }\n}\n", "not \"true\""},
    {"accounts.cf", ACCOUNT "user = u\ntoken_command = { /bin/gone, x }\n}\n",
        "token_command /bin/gone: No such file"},
    {"accounts.cf", ACCOUNT "user = u\ntoken_command = { /bin/true }\nauth = plain\n}\n",
        "expected auto, oauth"},
    {"accounts.cf", ACCOUNT "user = u\npassword = a\nauth = xoauth2\n}\n",
        "expected token_command"},
    {"accounts.cf", ACCOUNT "auth = ntlm\n}\n", "auth: expected one of auto, plain, login"},
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

/* Names are the file's too. */
static void
mistakes_are_told_of_safely(void **state)
{
    struct place *place = *state;

    file_write(place, "accounts.cf", "account \"a\nb\" {\n sids = { a }\n relay = x\n}\n", 0600);
    assert_refused(place, "a\\012b");
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
    char *copy = strdup(printed); /* what a stream points at is not understood by gcc 12 */
    free(printed);
    return copy;
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

static void
shipped_configuration_is_taken(void **state)
{
    (void)state;
    struct place shipped = {.directory = "conf/"};
    assert_loaded(&shipped);
    assert_int_equal(shipped.configuration.section_count, 2);
    assert_string_equal(shipped.configuration.sections[1].name, "sowa2");
    assert_int_equal(shipped.configuration.account_count, 0);
    queues_find(&shipped.configuration, false);
    configuration_free(&shipped.configuration);
    secrets_free(&shipped.secrets);
}

/* Copies conf/NAME to PLACE with what is commented out there: "#key", or all "#" from "#account"
 * on. */
static void
conf_uncomment(const struct place *place, const char *name)
{
    char path[64];
    char line[256];
    char text[16384] = "";
    bool account = false;
    snprintf(path, sizeof path, "conf/%s", name);
    FILE *stream = fopen(path, "re");
    assert_non_null(stream);
    while (fgets(line, sizeof line, stream) != NULL) {
        size_t indent = strspn(line, " ");
        account = account || strncmp(line, "#account", 8) == 0;
        bool commented = line[indent] == '#' && (account || line[indent + 1] >= 'a');
        if (commented)
            line[indent] = ' ';
        assert_true(strlen(text) + strlen(line) < sizeof text);
        strcat(text, line);
    }
    fclose(stream);
    file_write(place, name, text, 0600);
}

static void
what_is_commented_out_is_the_default(void **state)
{
    struct place *place = *state;
    conf_uncomment(place, "accounts.cf");
    directory_add(place, "secrets");
    file_write(place, "secrets/foo", "secret", 0600);
    file_write(place, "main.cf",
        "spool sowa1 { root = /home/sowa/sowa1/katalogi\n"
        " path = var/spool/mail }\n"
        "spool sowa2 { root = /home/sowa/sowa2/katalogi\n"
        " path = var/spool/mail }\n",
        0644);
    assert_loaded(place);
    assert_int_equal(place->configuration.account_count, 1);
    assert_int_equal(place->secrets.descriptors[0] >= 0, true);
    char *standard = print_make(place);
    conf_uncomment(place, "main.cf");
    conf_uncomment(place, "master.cf");
    assert_loaded(place);
    char *uncommented = print_make(place);
    if (geteuid() == 0) /* for others, the directories are elsewhere */
        assert_string_equal(standard, uncommented);
    free(standard);
    free(uncommented);
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
    const struct CMUnitTest tests[] = {
        PLACE_TEST(defaults_hold_for_empty_files),
        PLACE_TEST(contract_example_is_taken),
        PLACE_TEST(mistakes_are_refused_with_their_place),
        PLACE_TEST(mistakes_are_told_of_safely),
        PLACE_TEST(missing_files_are_refused),
        PLACE_TEST(what_is_printed_can_be_read),
        cmocka_unit_test(shipped_configuration_is_taken),
        PLACE_TEST(what_is_commented_out_is_the_default),
        cmocka_unit_test(spelling_counts_slips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
