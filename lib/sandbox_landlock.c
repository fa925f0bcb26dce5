#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/sandbox_parts.h"

/* Rights that this system's headers may be too old to name: numbers are the kernel's interface. */
#define RIGHT_REFER (1ULL << 13)
#define RIGHT_TRUNCATE (1ULL << 14)
#define RIGHT_IOCTL_DEVICE (1ULL << 15)
#define NETWORK_BIND (1ULL << 0)
#define NETWORK_CONNECT (1ULL << 1)
#define SCOPE_ABSTRACT_SOCKET (1ULL << 0)
#define SCOPE_SIGNAL (1ULL << 1)

/* The kernel takes a longer attribute than it knows as long as the rest is zero. */
struct ruleset {
    uint64_t files;
    uint64_t network;
    uint64_t scoped;
};

/* What came with which version of the interface. */
static const struct {
    long version;
    struct ruleset rights;
} VERSIONS[] = {
    {1, {.files = (1ULL << 13) - 1}},
    {2, {.files = RIGHT_REFER}},
    {3, {.files = RIGHT_TRUNCATE}},
    {4, {.network = NETWORK_BIND | NETWORK_CONNECT}},
    {5, {.files = RIGHT_IOCTL_DEVICE}},
    {6, {.scoped = SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL}},
};

static const struct {
    unsigned int access;
    uint64_t rights;
} ACCESS[] = {
    {SANDBOX_READ, LANDLOCK_ACCESS_FS_READ_FILE},
    {SANDBOX_LIST, LANDLOCK_ACCESS_FS_READ_DIR},
    /* To rename a link or a FIFO to another directory counts as making one there; really to make
     * one, seccomp forbids. */
    {SANDBOX_WRITE, LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                        LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                        LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_WRITE_FILE |
                        LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |
                        LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                        RIGHT_REFER | RIGHT_TRUNCATE},
};

#define FILE_RIGHTS                                                                                \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE |   \
        RIGHT_TRUNCATE | RIGHT_IOCTL_DEVICE)

/* The files that a role may use whatever the configuration is. */
static const struct standard_path {
    unsigned int roles;
    bool directory_of;
    struct sandbox_path path;
} STANDARD_PATHS[] = {
#define BIT(ROLE) ROLE_BIT(ROLE_##ROLE)
#define PATH(roles, path, access) {roles, false, {path, -1, access}},
#define DIRECTORY_OF(roles, path, access) {roles, true, {path, -1, access}},
#define CALL(name, roles)
#define CALL_IF(name, roles, argument, mask, value)
#define FATAL(name, roles)
#define QUIET(name, roles, code)
#define QUIET_IF(name, roles, code, argument, mask, value)
#include "lib/sandbox.def"
};

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

static uint64_t
access_rights(unsigned int access)
{
    uint64_t rights = 0;

    for (size_t i = 0; i < COUNT_OF(ACCESS); i++)
        if ((access & ACCESS[i].access) != 0)
            rights |= ACCESS[i].rights;
    return rights;
}

static struct ruleset
version_rights(long version)
{
    struct ruleset all = {0};

    for (size_t i = 0; i < COUNT_OF(VERSIONS) && VERSIONS[i].version <= version; i++) {
        all.files |= VERSIONS[i].rights.files;
        all.network |= VERSIONS[i].rights.network;
        all.scoped |= VERSIONS[i].rights.scoped;
    }
    return all;
}

/* Allows RIGHTS on what DESCRIPTOR is, as far as RULES knows them and its kind can have them. */
static bool
allow(int rules, const struct ruleset *known, int descriptor, unsigned int access,
    struct error *error)
{
    struct landlock_path_beneath_attr rule = {
        .allowed_access = access_rights(access) & known->files, .parent_fd = descriptor};
    struct stat status;

    if (fstat(descriptor, &status) != 0)
        return error_errno(error, "look at it");
    if (!S_ISDIR(status.st_mode))
        rule.allowed_access &= FILE_RIGHTS;
    if (rule.allowed_access == 0)
        return true;
    if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        return error_errno(error, "make a Landlock rule");
    return true;
}

/* One queue that cannot be reached is no reason to stop the others. */
static void
pass_over(const char *path)
{
    if (errno == ENOENT || errno == ENOTDIR)
        log_debug("sandbox: %s does not exist", path);
    else
        log_warn("sandbox: %s stays out of reach: %s", path, strerror(errno));
}

static bool
allow_path(
    int rules, const struct ruleset *known, const struct sandbox_path *path, struct error *error)
{
    bool allowed;
    int descriptor;

    if (path->path == NULL)
        return allow(rules, known, path->descriptor, path->access, error);
    descriptor = open(path->path, O_PATH | O_CLOEXEC);
    if (descriptor < 0) {
        pass_over(path->path);
        return true;
    }
    allowed = allow(rules, known, descriptor, path->access, error) ||
              error_prefix(error, "%s", path->path);
    close(descriptor);
    return allowed;
}

/* The directory where the file at the end of all links lies. */
static bool
allow_directory_of(
    int rules, const struct ruleset *known, const struct sandbox_path *file, struct error *error)
{
    struct sandbox_path directory = *file;
    char *real = realpath(file->path, NULL);
    bool allowed = true;

    if (real == NULL)
        return true;
    directory.path = dirname(real);
    if (strcmp(directory.path, "/") != 0)
        allowed = allow_path(rules, known, &directory, error);
    free(real);
    return allowed;
}

static bool
allow_standard(int rules, const struct ruleset *known, enum role role, struct error *error)
{
    for (size_t i = 0; i < COUNT_OF(STANDARD_PATHS); i++) {
        const struct standard_path *standard = &STANDARD_PATHS[i];
        bool allowed = true;

        if ((standard->roles & ROLE_BIT(role)) == 0)
            continue;
        if (standard->directory_of)
            allowed = allow_directory_of(rules, known, &standard->path, error);
        else
            allowed = allow_path(rules, known, &standard->path, error);
        if (!allowed)
            return false;
    }
    return true;
}

/* Puts every rule into RULES, and the process under them. */
static bool
restrict_self(int rules, const struct ruleset *known, enum role role,
    const struct sandbox_path *paths, size_t count, struct error *error)
{
    static const struct sandbox_path proc = {"/proc", -1, SANDBOX_READ | SANDBOX_LIST};

    if (!allow_standard(rules, known, role, error))
        return false;
    if (SANDBOX_SANITIZED && !allow_path(rules, known, &proc, error))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!allow_path(rules, known, &paths[i], error))
            return false;
    if (syscall(SYS_landlock_restrict_self, rules, 0) != 0)
        return error_errno(error, "enter the Landlock sandbox");
    return true;
}

/* True where the first version of Landlock is not enough: it forbids every rename to another
 * directory. */
static bool
needs_refer(const struct sandbox_path *paths, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((paths[i].access & SANDBOX_WRITE) != 0)
            return true;
    return false;
}

enum sandbox_outcome
sandbox_landlock(
    enum role role, const struct sandbox_path *paths, size_t count, struct error *error)
{
    const unsigned int connecting =
        ROLE_BIT(ROLE_SMTP) | ROLE_BIT(ROLE_WORKER) | ROLE_BIT(ROLE_SQL);
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct ruleset known = version_rights(version);
    bool restricted;
    int rules;

    if (version < 1) {
        error_errno(error, "the kernel has no Landlock to confine files with");
        return SANDBOX_LACKING;
    }
    if (version < 2 && needs_refer(paths, count)) {
        error_set(error, "the kernel's Landlock is too old (Linux 5.19 is needed)");
        return SANDBOX_LACKING;
    }
    if ((connecting & ROLE_BIT(role)) != 0)
        known.network &= ~NETWORK_CONNECT;
    rules = (int)syscall(SYS_landlock_create_ruleset, &known, sizeof(known), 0);
    if (rules < 0) {
        error_errno(error, "make a set of Landlock rules");
        return SANDBOX_FAILED;
    }
    restricted = restrict_self(rules, &known, role, paths, count, error);
    close(rules);
    return restricted ? SANDBOX_DONE : SANDBOX_FAILED;
}
