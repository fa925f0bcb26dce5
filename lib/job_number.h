/*
 * The numbers of jobs. Each program that begins jobs has its own, so that no two ever mean the same
 * mail: bit 63 is for test mails of control's, bit 62 for what is only listed, and bits 56 to 61
 * say which finder has it.
 */
#ifndef SMAILER_JOB_NUMBER_H
#define SMAILER_JOB_NUMBER_H

#include <stdint.h>

#include "lib/role.h"

#define JOB_TRIAL (UINT64_C(1) << 63)
#define JOB_LISTING (UINT64_C(1) << 62)

#define JOB_FINDER_SHIFT 56
#define JOB_FINDER_MASK (UINT64_C(63) << JOB_FINDER_SHIFT)

/* So many smailer-sql there can be. */
#define JOB_SQL_MAX 63

/* What all job numbers of a finder have in the bits of JOB_FINDER_MASK. */
static inline uint64_t
job_finder(enum role role, uint32_t instance)
{
    return role == ROLE_SQL ? (uint64_t)(instance + 1) << JOB_FINDER_SHIFT : 0;
}

#endif
