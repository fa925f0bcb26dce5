/*
 * Passwords: sealed, guarded, and out of master's memory.
 */
#include "tests/unit/configuration_place.h"

#include "lib/sealed.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1 /* as gcc says it */
#endif
#endif

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
#ifdef __SANITIZE_ADDRESS__
    skip(); /* it keeps what was freed, and its own memory cannot be read through */
#endif
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

/* Whatever is wrong with a line, its password is not told. */
static void
errors_tell_no_secret(void **state)
{
    static const char *const VALUES[] = {"Xyzzy Xyzzy", "Xyzzy,Xyzzy", "Xyzzy(Xyzzy)",
        "Xyzzy=Xyzzy", "Xyzzy{Xyzzy", "Xyzzy}Xyzzy", "\"Xyzzy", "'Xyzzy", "\"\\777Xyzzy\"",
        "\"Xyzzy\\n\"", "Xyzzy\tXyzzy\001", "\"Xyzzy\001\"", "Xyzzy\"Xyzzy\""};
    struct place *place = *state;
    for (size_t i = 0; i < sizeof VALUES / sizeof *VALUES; i++) {
        char text[256];
        snprintf(text, sizeof text, ACCOUNT "user = u\npassword = %s\n}\n", VALUES[i]);
        file_write(place, "accounts.cf", text, 0600);
        assert_refused(place, "accounts.cf");
        if (strcasestr(place->error.text, "yzz") != NULL)
            fail_msg("%s", place->error.text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(secrets_are_sealed),
        PLACE_TEST(readable_secrets_are_refused),
        PLACE_TEST(secrets_leave_memory),
        PLACE_TEST(errors_tell_no_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
