#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "lib/memory.h"
#include "sql/access.h"

/* Keywords whose values are files, and where libpq looks in the home directory by default. */
static const struct {
    const char *keyword;
    const char *standard;
} FILES[] = {
    {"passfile", ".pgpass"},
    {"sslcert", ".postgresql/postgresql.crt"},
    {"sslkey", ".postgresql/postgresql.key"},
    {"sslrootcert", ".postgresql/root.crt"},
    {"sslcrl", ".postgresql/root.crl"},
};

/* Where a service may be described, beside the home directory. */
static const char *const SERVICE_FILES[] = {"/etc/postgresql-common/pg_service.conf",
    "/usr/local/pgsql/etc/pg_service.conf", "/etc/pg_service.conf"};

/* libpq would look both up in /etc/passwd each time. */
static const char *
settle_user(void)
{
    const struct passwd *entry = getpwuid(geteuid());

    if (entry == NULL)
        return "/nonexistent";
    setenv("PGUSER", entry->pw_name, 1);
    setenv("HOME", entry->pw_dir, 1);
    return entry->pw_dir;
}

/* What libpq makes of CONNINFO, with its service. There is no call for that but to connect; but
 * with a value that cannot be it stops before it does anything. */
static PQconninfoOption *
find_options(const char *conninfo)
{
    const char *const names[] = {"dbname", "sslmode", NULL};
    const char *const values[] = {conninfo, "none of them", NULL};
    PGconn *connection = PQconnectStartParams(names, values, 1);
    PQconninfoOption *options = connection == NULL ? NULL : PQconninfo(connection);

    PQfinish(connection);
    return options;
}

static const char *
find_value(const PQconninfoOption *options, const char *keyword)
{
    for (; options != NULL && options->keyword != NULL; options++) {
        if (strcmp(options->keyword, keyword) == 0)
            return options->val != NULL && options->val[0] != '\0' ? options->val : NULL;
    }
    return NULL;
}

/* The paths live as long as the process. */
void
access_prepare(struct service_paths *paths, const char *conninfo)
{
    const char *home = settle_user();
    PQconninfoOption *options = find_options(conninfo);

    for (size_t i = 0; i < sizeof(FILES) / sizeof(FILES[0]); i++) {
        const char *value = find_value(options, FILES[i].keyword);

        service_allow(paths,
            value != NULL ? memory_copy_text(value)
                          : memory_format("%s/%s", home, FILES[i].standard),
            SANDBOX_READ);
    }
    service_allow(paths, memory_format("%s/.pg_service.conf", home), SANDBOX_READ);
    for (size_t i = 0; i < sizeof(SERVICE_FILES) / sizeof(SERVICE_FILES[0]); i++)
        service_allow(paths, SERVICE_FILES[i], SANDBOX_READ);
    PQconninfoFree(options);
}
