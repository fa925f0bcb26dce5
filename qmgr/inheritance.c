/*
 * What a generation hands on to the next one: which relays are down, and until when. A line an
 * account, in a memfd:  ADDRESS TAB PROBE_AT TAB INTERVAL TAB STAGE TAB CODE TAB ENHANCED TAB RELAY
 * TAB WORDS.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/clock.h"
#include "lib/configuration.h"
#include "lib/log.h"
#include "lib/service.h"
#include "qmgr/account.h"

#define FIELDS 8

/* What a relay or its worker said makes no field, and no line, of its own. */
static void
write_text(FILE *file, const char *text)
{
    fputc('\t', file);
    for (; *text != '\0'; text++)
        fputc((unsigned char)*text < ' ' ? ' ' : *text, file);
}

static void
write_account(FILE *file, const struct account *account)
{
    const struct health *health = &account->health;

    fprintf(file, "%s\t%" PRId64 "\t%" PRId64 "\t%d\t%" PRIu32, account->settings->address,
        health->probe_at, health->interval, (int)health->stage, health->code);
    write_text(file, health->enhanced);
    write_text(file, health->relay);
    write_text(file, health->words);
    fputc('\n', file);
}

int
accounts_write_inheritance(void)
{
    int descriptor = memfd_create("inheritance", MFD_CLOEXEC);
    int copy = descriptor < 0 ? -1 : dup(descriptor);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "w");
    const struct account *account;

    if (file == NULL) {
        log_warn("nothing is handed on to the next generation: no memory file");
        return descriptor;
    }
    for (uint32_t i = 0; (account = accounts_get(i)) != NULL; i++) {
        if (account->health.down)
            write_account(file, account);
    }
    if (fclose(file) != 0)
        log_warn("nothing is handed on to the next generation: writing failed");
    return descriptor;
}

static struct account *
find(const char *address)
{
    struct account *account;

    for (uint32_t i = 0; (account = accounts_get(i)) != NULL; i++) {
        if (strcasecmp(account->settings->address, address) == 0)
            return account;
    }
    return NULL;
}

/* What the configuration has a part in. */
static bool
may_be_mended(enum stage stage)
{
    return stage == STAGE_TOKEN || stage == STAGE_TLS || stage == STAGE_LOGIN;
}

/* A reload may have mended a password or a certificate: that is not found out a day later, and not
 * at once either, for generations change for other reasons too. */
static void
probe_soon(struct health *health)
{
    int64_t soonest = clock_now_ms() + service_configuration()->settings.probe_interval;

    if (may_be_mended(health->stage) && health->probe_at > soonest)
        health->probe_at = soonest;
}

static void
read_account(char *line)
{
    char *fields[FIELDS];
    struct account *account;
    struct health *health;

    for (size_t i = 0; i < FIELDS; i++) {
        fields[i] = strsep(&line, "\t");
        if (fields[i] == NULL)
            return;
    }
    account = find(fields[0]);
    if (account == NULL)
        return;
    health = &account->health;
    health->down = true;
    health->probe_at = strtoll(fields[1], NULL, 10);
    health->interval = strtoll(fields[2], NULL, 10);
    health->stage = (enum stage)(strtoul(fields[3], NULL, 10) % STAGE_COUNT);
    health->code = (uint32_t)strtoul(fields[4], NULL, 10);
    strlcpy(health->enhanced, fields[5], sizeof(health->enhanced));
    strlcpy(health->relay, fields[6], sizeof(health->relay));
    strlcpy(health->words, fields[7], sizeof(health->words));
    probe_soon(health);
}

void
accounts_read_inheritance(int descriptor)
{
    int copy = dup(descriptor);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "r");
    char line[4096];

    if (file == NULL) {
        log_warn("what the last generation handed on cannot be read");
        return;
    }
    rewind(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        read_account(line);
    }
    (void)fclose(file);
}
