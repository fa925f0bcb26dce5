/*
 * Any octets as what qmgr keeps: the file of the day's quotas, up to NUL, and behind it what a
 * generation hands on of its relays' health. What was understood is, written and read again, the
 * same; and what a relay says cannot make a line of its own there.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "qmgr/account.h"
#include "qmgr/quota_file.h"
#include "tests/fuzz/fuzz.h"

enum { ACCOUNTS = 3 };

static char directory[] = "/dev/shm/smailer-fuzz-XXXXXX";
static char path[sizeof(directory) + 16];

/* What is read once, at the start, is never freed. */
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
    return "detect_leaks=0";
}

static void
remove_files(void)
{
    unlink(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
    rmdir(directory);
}

static void
set_up(void)
{
    static const char *const ADDRESSES[ACCOUNTS] = {"a@example.com", "@example.org", "default"};
    struct configuration *configuration =
        (struct configuration *)(uintptr_t)service_configuration();

    require(mkdtemp(directory) != NULL);
    configuration_init(configuration);
    free(configuration->settings.state_directory);
    configuration->settings.state_directory = memory_copy_text(directory);
    for (size_t i = 0; i < ACCOUNTS; i++)
        configuration_add_account(configuration, ADDRESSES[i])->mails_per_day = 1000;
    log_set_level(LOG_LEVEL_ERROR);
    accounts_open();
    require(quota_file_prepare() != NULL);
    snprintf(path, sizeof(path), "%s/qmgr/quotas", directory);
    require(atexit(remove_files) == 0);
}

static void
forget(void)
{
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        struct account *account = accounts_get(i);

        memset(&account->health, 0, sizeof(account->health));
        memset(&account->quota, 0, sizeof(account->quota));
        account->quota.changed = true;
    }
}

static void
write_file(int descriptor, struct rest part)
{
    require(descriptor >= 0);
    require(write(descriptor, part.octets, part.size) == (ssize_t)part.size);
}

/* The day's first hour is over where a new one begins meanwhile. By the clock of what is tested:
 * time() may still be in the hour before. */
static int64_t
this_hour(void)
{
    return clock_now_ms() / 3600000;
}

static void
check_quotas(struct rest part)
{
    struct quota before[ACCOUNTS];
    int64_t hour = this_hour();
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    write_file(descriptor, part);
    close(descriptor);
    forget();
    quota_file_read();
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        accounts_get(i)->quota.changed = true;
        before[i] = accounts_get(i)->quota;
    }
    quota_file_write();
    forget();
    quota_file_read();
    for (uint32_t i = 0; i < ACCOUNTS && hour == this_hour(); i++)
        require(
            memcmp(before[i].hours, accounts_get(i)->quota.hours, sizeof(before[i].hours)) == 0);
}

/* Control characters become blanks. */
static void
check_text(const char *text, const char *before)
{
    require(strlen(text) == strlen(before));
    for (size_t i = 0; before[i] != '\0'; i++)
        require(text[i] == ((unsigned char)before[i] < ' ' ? ' ' : before[i]));
}

static void
check_handed_on(const struct health before[ACCOUNTS])
{
    int descriptor = accounts_write_inheritance();

    require(descriptor >= 0);
    forget();
    accounts_read_inheritance(descriptor);
    close(descriptor);
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        const struct health *health = &accounts_get(i)->health;

        require(health->down == before[i].down);
        require(health->probe_at == before[i].probe_at && health->interval == before[i].interval);
        require(health->stage == before[i].stage && health->code == before[i].code);
        check_text(health->enhanced, before[i].enhanced);
        check_text(health->relay, before[i].relay);
        check_text(health->words, before[i].words);
    }
}

static void
check_read(struct rest part)
{
    struct health before[ACCOUNTS];
    int descriptor = memfd_create("inheritance", MFD_CLOEXEC);

    write_file(descriptor, part);
    forget();
    accounts_read_inheritance(descriptor);
    close(descriptor);
    for (uint32_t i = 0; i < ACCOUNTS; i++)
        before[i] = accounts_get(i)->health;
    check_handed_on(before);
}

/* One relay is down, with words of its own choice. */
static void
check_words(struct rest part)
{
    struct health before[ACCOUNTS] = {0};
    char *text = rest_text(part);

    forget();
    before[1] = (struct health){.down = true, .probe_at = 1, .interval = 2, .stage = STAGE_MAIL};
    strlcpy(before[1].words, text, sizeof(before[1].words));
    strlcpy(before[1].relay, "mx.example.org", sizeof(before[1].relay));
    accounts_get(1)->health = before[1];
    check_handed_on(before);
    free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rest rest = {(const char *)data, size};

    if (accounts_get(0) == NULL)
        set_up();
    check_quotas(rest_take(&rest, "", 1));
    check_words(rest);
    check_read(rest);
    return 0;
}
