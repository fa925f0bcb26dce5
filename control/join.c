#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sysexits.h>

#include "control/join.h"
#include "lib/log.h"
#include "lib/memory.h"

/* Listings have some hundred entries in flight each. */
#define BUCKETS 1024

/* Octets that cleanup can make this process keep, by whatever it sends unasked. */
#define LISTED_OCTETS_MAX ((size_t)64 * 1024 * 1024)

struct half {
    LIST_ENTRY(half) in_bucket;
    TAILQ_ENTRY(half) in_age;
    uint64_t job;
    int64_t since;
    enum message_type type;
    size_t size;
    unsigned char octets[]; /* the message, encoded */
};

struct join {
    LIST_HEAD(, half) buckets[BUCKETS];
    TAILQ_HEAD(, half) ages; /* the oldest first */
    size_t count;
    size_t listed_octets;
};

struct join *
join_new(void)
{
    struct join *join = memory_new(1, sizeof(*join));

    TAILQ_INIT(&join->ages);
    return join;
}

static void
take_out(struct join *join, struct half *half)
{
    LIST_REMOVE(half, in_bucket);
    TAILQ_REMOVE(&join->ages, half, in_age);
    join->count--;
    if (half->type == MESSAGE_LISTED)
        join->listed_octets -= half->size;
}

void
join_free(struct join *join)
{
    struct half *half;

    while ((half = TAILQ_FIRST(&join->ages)) != NULL) {
        take_out(join, half);
        free(half);
    }
    free(join);
}

size_t
join_count(const struct join *join)
{
    return join->count;
}

static enum role
sender_of(enum message_type type)
{
    return type == MESSAGE_FOUND ? ROLE_PICKUP : ROLE_CLEANUP;
}

static uint64_t
job_of(const struct message *message)
{
    return message->type == MESSAGE_FOUND ? message->found.job : message->listed.job;
}

static struct half *
find(struct join *join, uint64_t job)
{
    struct half *half;

    LIST_FOREACH(half, &join->buckets[job % BUCKETS], in_bucket)
    {
        if (half->job == job)
            return half;
    }
    return NULL;
}

static void
keep(struct join *join, const struct message *message, int64_t now)
{
    static unsigned char octets[MESSAGE_SIZE_MAX];
    struct field_output output = {.octets = octets, .size = sizeof(octets)};
    struct error error;
    struct half *half;

    if (!message_encode(message, sender_of(message->type), ROLE_CONTROL, &output, &error))
        fatal(EX_SOFTWARE, "%s", error.text);
    if (message->type == MESSAGE_LISTED) {
        if (join->listed_octets + output.used > LISTED_OCTETS_MAX)
            return;
        join->listed_octets += output.used;
    }
    half = memory_new(1, sizeof(*half) + output.used);
    half->job = job_of(message);
    half->since = now;
    half->type = message->type;
    half->size = output.used;
    memcpy(half->octets, octets, output.used);
    LIST_INSERT_HEAD(&join->buckets[half->job % BUCKETS], half, in_bucket);
    TAILQ_INSERT_TAIL(&join->ages, half, in_age);
    join->count++;
}

/* MESSAGE's texts point into HALF. */
static void
unpack(const struct half *half, struct message *message)
{
    struct field_input input = {.octets = half->octets, .size = half->size};
    struct error error;

    if (!message_decode(message, sender_of(half->type), ROLE_CONTROL, &input, &error))
        fatal(EX_SOFTWARE, "%s", error.text);
}

bool
join_add(struct join *join, const struct message *message, int64_t now,
    void (*matched)(const struct message_found *, const struct message_listed *))
{
    struct half *half = find(join, job_of(message));
    bool is_match = half != NULL && half->type != message->type;
    struct message other;

    if (half != NULL)
        take_out(join, half);
    if (is_match) {
        unpack(half, &other);
        if (message->type == MESSAGE_FOUND)
            matched(&message->found, &other.listed);
        else
            matched(&other.found, &message->listed);
    } else {
        keep(join, message, now);
    }
    free(half);
    return is_match;
}

void
join_expire(struct join *join, int64_t limit,
    void (*lost)(const struct message_found *, const char *why), const char *why)
{
    struct half *half;
    struct message message;

    while ((half = TAILQ_FIRST(&join->ages)) != NULL && half->since < limit) {
        take_out(join, half);
        if (half->type == MESSAGE_FOUND) {
            unpack(half, &message);
            lost(&message.found, why);
        }
        free(half);
    }
}
