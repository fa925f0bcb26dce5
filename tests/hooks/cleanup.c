/*
 * A cleanup that has a fault, for the tests: a file with POISON in it is the end of it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup/job.h"
#include "cleanup/judge.h"

#define POISON "POISON-CLEANUP"

void __real_judge_file(const struct message_parse *parse, struct judgement *judgement);
void __real_judge_job(const struct message_parse *parse, struct judgement *judgement);
void __wrap_judge_file(const struct message_parse *parse, struct judgement *judgement);
void __wrap_judge_job(const struct message_parse *parse, struct judgement *judgement);

static void
die_of(int descriptor, enum parse_purpose purpose)
{
    char octets[4096];
    ssize_t count = pread(descriptor, octets, sizeof(octets), 0);

    if (purpose == PARSE_DELIVER && count > 0 &&
        memmem(octets, (size_t)count, POISON, strlen(POISON)) != NULL)
        abort();
}

void
__wrap_judge_file(const struct message_parse *parse, struct judgement *judgement)
{
    die_of(parse->file, (enum parse_purpose)parse->purpose);
    __real_judge_file(parse, judgement);
}

void
__wrap_judge_job(const struct message_parse *parse, struct judgement *judgement)
{
    die_of(parse->file, (enum parse_purpose)parse->purpose);
    __real_judge_job(parse, judgement);
}
