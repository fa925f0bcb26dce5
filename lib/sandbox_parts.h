/*
 * The two halves of the sandbox; sandbox.c puts them on.
 */
#ifndef SMAILER_SANDBOX_PARTS_H
#define SMAILER_SANDBOX_PARTS_H

#include <stddef.h>

#include "lib/error.h"
#include "lib/role.h"
#include "lib/sandbox.h"

enum sandbox_outcome {
    SANDBOX_DONE,
    SANDBOX_LACKING, /* the kernel does not have it: the error says so */
    SANDBOX_FAILED
};

#if defined(__SANITIZE_ADDRESS__)
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 0
#endif

/* Files, TCP, and signals and abstract sockets to others: no more than ROLE and PATHS say. */
enum sandbox_outcome sandbox_landlock(
    enum role role, const struct sandbox_path *paths, size_t count, struct error *error);

/* System calls: no more than ROLE's. */
enum sandbox_outcome sandbox_seccomp(enum role role, struct error *error);

#endif
