/*
 * The keys, their values as text, each program's part, and the choice of an account; and that conf/
 * and the manual say what config.def says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/account.h"
#include "lib/configuration.h"
#include "lib/memory.h"
#include "lib/sealed.h"

static const struct value_range ANY = {0};

struct reading {
    enum value_type type;
    const char *text;
    const char *again; /* as it is printed; NULL: it is refused */
};

static const struct reading READINGS[] = {
    {VALUE_DURATION, "100ms", "100ms"},
    {VALUE_DURATION, "1000ms", "1s"},
    {VALUE_DURATION, "90m", "90m"},
    {VALUE_DURATION, "60m", "1h"},
    {VALUE_DURATION, "14d", "2w"},
    {VALUE_DURATION, "0", "0ms"},
    {VALUE_DURATION, "5", NULL},
    {VALUE_DURATION, "", NULL},
    {VALUE_DURATION, "h", NULL},
    {VALUE_DURATION, "1 h", NULL},
    {VALUE_DURATION, "-1h", NULL},
    {VALUE_DURATION, "1H", NULL},
    {VALUE_DURATION, "9223372036854775807w", NULL},
    {VALUE_SIZE, "32M", "32M"},
    {VALUE_SIZE, "1024", "1K"},
    {VALUE_SIZE, "1025", "1025"},
    {VALUE_SIZE, "0", "0"},
    {VALUE_SIZE, "1k", NULL},
    {VALUE_COUNT, "007", "7"},
    {VALUE_COUNT, "2147483648", NULL},
    {VALUE_COUNT, "+7", NULL},
    {VALUE_BOOLEAN, "Yes", "yes"},
    {VALUE_BOOLEAN, "off", "no"},
    {VALUE_BOOLEAN, "1", NULL},
    {VALUE_TEXT, "Zażółć", "Zażółć"},
    {VALUE_TEXT, "a\nb", NULL},
    {VALUE_TEXT, "a\177b", NULL},
    {VALUE_TEXT, "a\302\205b", NULL},
    {VALUE_TEXT, "a\377b", NULL},
    {VALUE_PATH, "/a/b", "/a/b"},
    {VALUE_PATH, "a/b", NULL},
    {VALUE_PATH, "", NULL},
    {VALUE_RELATIVE, "a/b", "a/b"},
    {VALUE_RELATIVE, "a/..b", "a/..b"},
    {VALUE_RELATIVE, "a/../b", NULL},
    {VALUE_RELATIVE, "..", NULL},
    {VALUE_RELATIVE, "/a", NULL},
    {VALUE_RELATIVE, "", NULL},
    {VALUE_ADDRESS, "a@b", "a@b"},
    {VALUE_ADDRESS, "", ""},
    {VALUE_ADDRESS, "@b", NULL},
    {VALUE_ADDRESS, "a@", NULL},
    {VALUE_ADDRESS, "a b@c", NULL},
    {VALUE_ADDRESS, "<a@b>", NULL},
    {VALUE_RELAY, "mx.example.com", "mx.example.com"},
    {VALUE_RELAY, "mx:25", "mx:25"},
    {VALUE_RELAY, "[2001:db8::1]:465", "[2001:db8::1]:465"},
    {VALUE_RELAY, "192.0.2.1", "192.0.2.1"},
    {VALUE_RELAY, "mx:", NULL},
    {VALUE_RELAY, "mx:25x", NULL},
    {VALUE_RELAY, "user@mx", NULL},
    {VALUE_RELAY, "-mx", NULL},
    {VALUE_RELAY, "[::1", NULL},
    {VALUE_RELAY, "[::1]25", NULL},
    {VALUE_RELAY, "", NULL},
    {VALUE_LIST, "a", "a"},
    {VALUE_LIST, "", NULL},
};

static void
values_are_read_and_printed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof READINGS / sizeof *READINGS; i++) {
        struct error error;
        int64_t member[4] = {0}; /* as large and aligned as any */
        const struct reading *reading = &READINGS[i];
        bool read = value_parse(reading->type, &ANY, reading->text, member, &error);
        if (read != (reading->again != NULL))
            fail_msg("\"%s\" is %s", reading->text, read ? "taken" : error.text);
        if (read) {
            char *printed = value_print(reading->type, &ANY, member, 0);
            assert_string_equal(printed, reading->again);
            free(printed);
        }
        value_free(reading->type, member);
    }
}

static void
every_default_is_right(void **state)
{
    (void)state;
    struct key_table all = keys_all();
    assert_true(all.count > 40);
    for (size_t i = 0; i < all.count; i++) {
        struct error error;
        int64_t member[4] = {0};
        const struct key *key = &all.keys[i];
        if (key->standard != NULL && key->standard[0] != '\0' &&
            !value_parse(key->type, &key->range, key->standard, member, &error))
            fail_msg("%s: %s", key->name, error.text);
        value_free(key->type, member);
        assert_ptr_equal(
            key_find(
                key->program ? keys_of_program(key->section) : keys_in(key->section), key->name),
            key);
    }
}

static void
text_replace(char **member, const char *text)
{
    free(*member);
    *member = memory_copy_text(text);
}

/* A configuration with something of everything. */
static void
configuration_fill(struct configuration *configuration)
{
    struct error error;
    configuration_init(configuration);
    configuration->settings.retry_interval = 1234;
    configuration->settings.max_message_size = 4321;
    text_replace(&configuration->settings.testing, "test@example.com");
    configuration->programs[ROLE_SMTP].instances = 3;
    struct section_settings *section =
        configuration_add_section(configuration, SECTION_SPOOL, "one");
    text_replace(&section->root, "/srv");
    for (size_t i = 0; i < 2; i++) {
        struct queue_settings *queue = configuration_add_queue(configuration);
        text_replace(&queue->section, "one");
        text_replace(&queue->sid, i == 0 ? "a" : "Ż b");
        text_replace(&queue->path, i == 0 ? "/srv/a" : "/srv/b");
        queue->interval = 1234;
    }
    struct account_settings *account = configuration_add_account(configuration, "@example.com");
    assert_true(value_parse(VALUE_LIST, &ANY, "a", &account->sids, &error));
    assert_true(value_parse(VALUE_LIST, &ANY, "one/b", &account->sids, &error));
    assert_true(value_parse(VALUE_RELAY, &ANY, "[::1]:2525", &account->relay, &error));
    account->tls = TLS_NONE;
    text_replace(&account->name, "Biblioteka");
    text_replace(&account->user, "u");
    text_replace(&account->password_file, "/secret/path");
    configuration_add_account(configuration, "default");
}

/* ROLE's part of CONFIGURATION, as ROLE reads it. */
static void
part_take(const struct configuration *configuration, enum role role, struct configuration *part)
{
    struct error error = {0};
    int descriptor = configuration_encode(configuration, role, &error);
    assert_true(descriptor >= 0);
    if (!configuration_decode(part, role, descriptor, &error))
        fail_msg("%s", error.text);
    close(descriptor);
}

static void
parts_hold_what_is_theirs(void **state)
{
    (void)state;
    struct configuration whole, part;
    configuration_fill(&whole);
    part_take(&whole, ROLE_QMGR, &part);
    assert_int_equal(part.settings.retry_interval, 1234);
    assert_int_equal(part.programs[ROLE_SMTP].instances, 3);
    assert_int_equal(part.queue_count, 2);
    assert_string_equal(part.queues[1].sid, "Ż b");
    assert_string_equal(part.queues[1].path, "/srv/b");
    assert_int_equal(part.queues[1].interval, 1234);
    assert_int_equal(part.account_count, 2);
    assert_string_equal(part.accounts[0].address, "@example.com");
    assert_int_equal(part.accounts[0].sids.count, 2);
    assert_string_equal(part.accounts[0].sids.texts[1], "one/b");
    configuration_free(&part);
    part_take(&whole, ROLE_SMTP, &part);
    assert_string_equal(part.accounts[0].relay.host, "::1");
    assert_int_equal(part.accounts[0].relay.port, 2525);
    assert_int_equal(part.accounts[0].tls, TLS_NONE);
    assert_string_equal(part.accounts[1].user, "");
    configuration_free(&part);
    configuration_free(&whole);
}

static void
parts_hold_nothing_of_others(void **state)
{
    (void)state;
    struct configuration whole, part;
    configuration_fill(&whole);
    part_take(&whole, ROLE_CLEANUP, &part);
    assert_int_equal(part.queue_count, 2);
    assert_string_equal(part.queues[0].sid, "");
    assert_string_equal(part.queues[0].path, "");
    assert_string_equal(part.accounts[0].name, "Biblioteka");
    assert_string_equal(part.accounts[0].user, "");
    assert_int_equal(part.accounts[0].sids.count, 0);
    assert_string_equal(part.accounts[0].relay.host, "");
    assert_string_equal(part.settings.testing, "test@example.com");
    assert_int_equal(part.settings.retry_interval, 3600000);
    configuration_free(&part);
    part_take(&whole, ROLE_PICKUP, &part);
    assert_int_equal(part.account_count, 0);
    assert_string_equal(part.settings.testing, "");
    configuration_free(&part);
    part_take(&whole, ROLE_SMTP, &part);
    assert_int_equal(part.queue_count, 0);
    assert_string_equal(part.accounts[0].password_file, "");
    configuration_free(&part);
    configuration_free(&whole);
}

static void
assert_part_refused(const void *octets, size_t size)
{
    struct configuration part;
    struct error error;
    int descriptor = sealed_create("test", octets, size, &error);
    assert_true(descriptor >= 0);
    assert_false(configuration_decode(&part, ROLE_QMGR, descriptor, &error));
    assert_null(part.queues);
    close(descriptor);
}

/* Every beginning of a part is refused, and so is one that goes on. */
static void
parts_are_taken_whole(void **state)
{
    (void)state;
    size_t size;
    struct error error;
    struct configuration whole;
    configuration_fill(&whole);
    int descriptor = configuration_encode(&whole, ROLE_QMGR, &error);
    const char *octets = sealed_map(descriptor, 65536, &size, &error);
    assert_non_null(octets);
    char *copy = memory_new(size + 2, 1);
    memcpy(copy, octets, size);
    for (size_t length = 0; length < size; length++)
        assert_part_refused(copy, length);
    assert_part_refused(copy, size + 1);
    free(copy);
    sealed_unmap(octets, size);
    struct configuration part;
    assert_false(configuration_decode(&part, ROLE_SMTP, descriptor, &error));
    close(descriptor);
    configuration_free(&whole);
}

static void
unsealed_parts_are_refused(void **state)
{
    (void)state;
    struct configuration part;
    struct error error;
    char name[] = "/tmp/smailer-test-XXXXXX";
    int descriptor = mkstemp(name);
    assert_true(descriptor >= 0);
    unlink(name);
    assert_int_equal(write(descriptor, "x", 1), 1);
    assert_false(configuration_decode(&part, ROLE_QMGR, descriptor, &error));
    assert_non_null(strstr(error.text, "no sealed memfd"));
    close(descriptor);
}

static void
accounts_are_found(void **state)
{
    (void)state;
    struct configuration configuration;
    configuration_init(&configuration);
    configuration_add_account(&configuration, "@example.com");
    configuration_add_account(&configuration, "Foo@Example.com");
    assert_string_equal(
        account_find(&configuration, "foo@EXAMPLE.com")->address, "Foo@Example.com");
    assert_string_equal(account_find(&configuration, "bar@EXAMPLE.com")->address, "@example.com");
    assert_null(account_find(&configuration, "bar@example.org"));
    assert_null(account_find(&configuration, "default"));
    configuration_add_account(&configuration, "default");
    assert_string_equal(account_find(&configuration, "bar@example.org")->address, "default");
    assert_string_equal(account_find(&configuration, "")->address, "default");
    assert_string_equal(
        account_find(&configuration, "\"a@b\"@example.com")->address, "@example.com");
    configuration_free(&configuration);
}

static void
accounts_allow_their_bases(void **state)
{
    (void)state;
    char *texts[] = {(char[]){"a"}, (char[]){"two/b"}};
    char *all[] = {(char[]){"*"}};
    struct account_settings account = {.sids = {.texts = texts, .count = 2}};
    assert_true(account_allows(&account, "a", "one"));
    assert_true(account_allows(&account, "b", "two"));
    assert_false(account_allows(&account, "b", "one"));
    assert_false(account_allows(&account, "A", "one"));
    assert_false(account_allows(&account, "*", "one"));
    account.sids = (struct text_list){.texts = all, .count = 1};
    assert_true(account_allows(&account, "anything", "one"));
    account.sids.count = 0;
    assert_false(account_allows(&account, "a", "one"));
}

/* The manual and conf/ are read line by line, beside the keys of the file they are about. */
struct document {
    const char *file;
    const char *const *sections;
};

static const char *const MAIN_SECTIONS[] = {"",
#define SECTION_KIND(KIND, kind) #kind,
#include "lib/config.def"
    NULL};
static const char *const PROGRAM_SECTIONS[] = {
    "pickup", "cleanup", "qmgr", "smtp", "control", "sql", "token", NULL};
static const char *const ACCOUNT_SECTIONS[] = {"account", NULL};
static const struct document DOCUMENTS[] = {
    {"main.cf", MAIN_SECTIONS}, {"master.cf", PROGRAM_SECTIONS}, {"accounts.cf", ACCOUNT_SECTIONS}};

static struct key_table
document_keys(const struct document *document, const char *section)
{
    return document->sections == PROGRAM_SECTIONS ? keys_of_program(section) : keys_in(section);
}

static FILE *
document_open(const char *format, const struct document *document)
{
    char path[64];
    snprintf(path, sizeof path, format, document->file);
    FILE *stream = fopen(path, "re");
    if (stream == NULL)
        fail_msg("%s: run the tests where the Makefile is", path);
    return stream;
}

/* The next line of STREAM that begins with PREFIX, without it; NULL at the end. */
static const char *
line_with(FILE *stream, const char *prefix, char *line, int size)
{
    while (fgets(line, size, stream) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, prefix, strlen(prefix)) == 0)
            return line + strlen(prefix);
    }
    return NULL;
}

/* The kinds of value, as the manual calls them. */
static const char *const TYPE_WORDS[] = {[VALUE_TEXT] = "text",
    [VALUE_PATH] = "path",
    [VALUE_RELATIVE] = "path",
    [VALUE_FILE] = "file",
    [VALUE_ADDRESS] = "address",
    [VALUE_BOOLEAN] = "yes or no",
    [VALUE_COUNT] = "number",
    [VALUE_DURATION] = "duration",
    [VALUE_SIZE] = "size",
    [VALUE_CHOICE] = "choice",
    [VALUE_LIST] = "list",
    [VALUE_RELAY] = "host[:port]",
    [VALUE_SECRET] = "text"};

static void
manual_check_key(FILE *stream, const struct key *key)
{
    char line[256];
    char expected[256];
    const char *name = line_with(stream, ".It Ic ", line, sizeof line);
    assert_non_null(name);
    assert_string_equal(name, key->name);
    const char *quote = key->standard != NULL && strcmp(key->standard, "*") == 0 ? "\"" : "";
    if (key->standard == NULL)
        snprintf(expected, sizeof expected, "%s, must be given", TYPE_WORDS[key->type]);
    else
        snprintf(expected, sizeof expected, "%s, default %s%s%s", TYPE_WORDS[key->type], quote,
            key->standard[0] == '\0' ? "empty" : key->standard, quote);
    assert_string_equal(line_with(stream, ".Pq ", line, sizeof line), expected);
}

static void
manual_has_every_key(void **state)
{
    (void)state;
    char line[256];
    for (size_t i = 0; i < sizeof DOCUMENTS / sizeof *DOCUMENTS; i++) {
        FILE *stream = document_open("doc/%s.5", &DOCUMENTS[i]);
        for (const char *const *section = DOCUMENTS[i].sections; *section != NULL; section++)
            for (size_t k = 0; k < document_keys(&DOCUMENTS[i], *section).count; k++)
                manual_check_key(stream, &document_keys(&DOCUMENTS[i], *section).keys[k]);
        assert_null(line_with(stream, ".It Ic ", line, sizeof line));
        fclose(stream);
    }
}

/* The next line "key = value", commented out or not, without the marks before it. */
static const char *
setting_next(FILE *stream, char *line, int size)
{
    for (const char *text = line_with(stream, "", line, size); text != NULL;
         text = line_with(stream, "", line, size)) {
        text += strspn(text, "# ");
        size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz_");
        if (length > 0 && strncmp(text + length, " = ", 3) == 0)
            return text;
    }
    return NULL;
}

/* There may be a second section of a kind before the next kind's. */
static void
conf_check_key(FILE *stream, char *line, int size, const struct key *key)
{
    char expected[256];
    size_t length = strlen(key->name);
    const char *setting = setting_next(stream, line, size);
    while (setting != NULL && (strncmp(setting, key->name, length) != 0 || setting[length] != ' '))
        setting = setting_next(stream, line, size);
    if (setting == NULL)
        fail_msg("%s is missing", key->name);
    const char *value = setting + length + 3;
    bool example = key->standard == NULL || strcmp(key->section, "account") == 0;
    if (example)
        return;
    bool quoted = key->standard[0] == '\0' || strcmp(key->standard, "*") == 0;
    snprintf(expected, sizeof expected, quoted ? "\"%s\"" : "%s", key->standard);
    assert_string_equal(value, key->type == VALUE_LIST ? "{}" : expected);
}

static void
conf_has_every_key(void **state)
{
    (void)state;
    char line[256];
    for (size_t i = 0; i < sizeof DOCUMENTS / sizeof *DOCUMENTS; i++) {
        FILE *stream = document_open("conf/%s", &DOCUMENTS[i]);
        setting_next(stream, line, sizeof line); /* "key = value" of the introduction */
        if (i > 0)
            rewind(stream);
        for (const char *const *section = DOCUMENTS[i].sections; *section != NULL; section++)
            for (size_t k = 0; k < document_keys(&DOCUMENTS[i], *section).count; k++)
                conf_check_key(
                    stream, line, sizeof line, &document_keys(&DOCUMENTS[i], *section).keys[k]);
        fclose(stream);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read_and_printed),
        cmocka_unit_test(every_default_is_right),
        cmocka_unit_test(parts_hold_what_is_theirs),
        cmocka_unit_test(parts_hold_nothing_of_others),
        cmocka_unit_test(parts_are_taken_whole),
        cmocka_unit_test(unsealed_parts_are_refused),
        cmocka_unit_test(accounts_are_found),
        cmocka_unit_test(accounts_allow_their_bases),
        cmocka_unit_test(manual_has_every_key),
        cmocka_unit_test(conf_has_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
