#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/privilege.h"

static const struct {
    unsigned int keep;
    uint64_t capabilities;
} KEPT[] = {
    {PRIVILEGE_READ_ANY, 1ULL << CAP_DAC_READ_SEARCH},
    /* CAP_FOWNER: renaming in a sticky directory, times and modes of what has its owner already.
     * CAP_FSETID: the set-group-id bit of a queue's directory, which would silently get lost. */
    {PRIVILEGE_WRITE_ANY,
        1ULL << CAP_DAC_OVERRIDE | 1ULL << CAP_CHOWN | 1ULL << CAP_FOWNER | 1ULL << CAP_FSETID},
};

static uint64_t
keep_capabilities(unsigned int keep)
{
    uint64_t capabilities = 0;

    for (size_t i = 0; i < sizeof(KEPT) / sizeof(KEPT[0]); i++)
        if ((keep & KEPT[i].keep) != 0)
            capabilities |= KEPT[i].capabilities;
    return capabilities;
}

bool
privilege_lookup(const char *name, struct privilege_user *user, struct error *error)
{
    const struct passwd *entry;

    errno = 0;
    entry = getpwnam(name);
    if (entry == NULL && errno != 0 && errno != ENOENT && errno != ESRCH)
        return error_errno(error, "look up user %s", name);
    if (entry == NULL)
        return error_set(error,
            "user %s does not exist; \"make users\" makes the users that smailer needs", name);
    *user = (struct privilege_user){
        .uid = entry->pw_uid, .gid = entry->pw_gid, .group_count = PRIVILEGE_GROUPS_MAX};
    if (getgrouplist(name, user->gid, user->groups, &user->group_count) < 0)
        return error_set(error, "user %s is in more than %d groups", name, PRIVILEGE_GROUPS_MAX);
    return true;
}

bool
privilege_is_root(void)
{
    return geteuid() == 0;
}

/* What is not in the bounding set, no program can ever give back. */
static bool
narrow_bounding_set(uint64_t capabilities, struct error *error)
{
    for (unsigned long capability = 0; capability < 64; capability++) {
        if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) < 0)
            return true;
        if ((capabilities & 1ULL << capability) != 0)
            continue;
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
            return error_errno(error, "take capability %lu out of the bounding set", capability);
    }
    return true;
}

static bool
take_ids(const struct privilege_user *user, struct error *error)
{
    if (setgroups((size_t)user->group_count, user->groups) != 0)
        return error_errno(error, "leave root's groups");
    if (setresgid(user->gid, user->gid, user->gid) != 0)
        return error_errno(error, "become group %ju", (uintmax_t)user->gid);
    if (setresuid(user->uid, user->uid, user->uid) != 0)
        return error_errno(error, "become user %ju", (uintmax_t)user->uid);
    return true;
}

/* Exactly CAPABILITIES, also after exec. */
static bool
set_capabilities(uint64_t capabilities, struct error *error)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const uint32_t low = (uint32_t)capabilities;
    const uint32_t high = (uint32_t)(capabilities >> 32);
    const struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
        {low, low, low}, {high, high, high}};

    if (syscall(SYS_capset, &header, data) != 0)
        return error_errno(error, "set the capabilities");
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
        return error_errno(error, "clear the ambient capabilities");
    for (unsigned long capability = 0; capability < 64; capability++)
        if ((capabilities & 1ULL << capability) != 0 &&
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0)
            return error_errno(error, "keep capability %lu through exec", capability);
    return true;
}

static bool
verify_ids(const struct privilege_user *user, struct error *error)
{
    uid_t uid[3];
    gid_t gid[3];

    if (getresuid(&uid[0], &uid[1], &uid[2]) != 0 || getresgid(&gid[0], &gid[1], &gid[2]) != 0)
        return error_errno(error, "read back the ids");
    for (size_t i = 0; i < 3; i++)
        if (uid[i] != user->uid || gid[i] != user->gid)
            return error_set(error, "the ids are not those of user %ju", (uintmax_t)user->uid);
    if (getgroups(0, NULL) != user->group_count)
        return error_set(error, "the groups are not those of user %ju", (uintmax_t)user->uid);
    if (setuid(0) == 0 || seteuid(0) == 0)
        return error_set(error, "root's rights can be taken back");
    if (user->gid != 0 && (setgid(0) == 0 || setegid(0) == 0))
        return error_set(error, "the rights of root's group can be taken back");
    return true;
}

static bool
permitted_capabilities(uint64_t *capabilities)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    if (syscall(SYS_capget, &header, data) != 0)
        return false;
    *capabilities = (uint64_t)data[1].permitted << 32 | data[0].permitted;
    return true;
}

bool
privilege_reads_any(void)
{
    const uint64_t any = 1ULL << CAP_DAC_READ_SEARCH | 1ULL << CAP_DAC_OVERRIDE;
    uint64_t capabilities;

    return geteuid() != 0 && permitted_capabilities(&capabilities) && (capabilities & any) != 0;
}

static bool
verify_capabilities(uint64_t capabilities, struct error *error)
{
    uint64_t left;

    if (!permitted_capabilities(&left))
        return error_errno(error, "read back the capabilities");
    if (left != capabilities)
        return error_set(error, "the capabilities are not those that were to stay");
    return true;
}

bool
privilege_drop(const struct privilege_user *user, unsigned int keep, struct error *error)
{
    const uint64_t capabilities = keep_capabilities(keep);

    if (user->uid == 0)
        return error_set(error, "no program of smailer but its master runs as root");
    if (!narrow_bounding_set(capabilities, error))
        return false;
    if (prctl(PR_SET_KEEPCAPS, capabilities != 0, 0, 0, 0) != 0)
        return error_errno(error, "keep capabilities");
    if (!take_ids(user, error) || !set_capabilities(capabilities, error))
        return false;
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0)
        return error_errno(error, "stop keeping capabilities");
    return verify_ids(user, error) && verify_capabilities(capabilities, error);
}
