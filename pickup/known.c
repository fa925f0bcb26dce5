#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "pickup/known.h"

#define SIZE_FIRST 64

/* Chosen at the start, so that nobody can name files that fall on one place. */
static uint64_t seed;

static void
choose_seed(void)
{
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        fatal(EX_OSERR, "no random numbers");
    seed |= 1;
}

/* Mixes every bit of VALUE into every bit of the result. */
static uint64_t
mix(uint64_t value)
{
    value ^= value >> 32;
    value *= UINT64_C(0xD6E8FEB86659FD93);
    value ^= value >> 32;
    value *= UINT64_C(0xD6E8FEB86659FD93);
    return value ^ value >> 32;
}

uint64_t
known_key(enum mail_state place, const char *name)
{
    size_t length = strlen(name);
    uint64_t key;

    if (seed == 0)
        choose_seed();
    key = seed ^ (uint64_t)place;
    for (size_t at = 0; at < length; at += sizeof(uint64_t)) {
        uint64_t part = 0;
        size_t left = length - at;

        memcpy(&part, name + at, left < sizeof(part) ? left : sizeof(part));
        key = mix(key ^ part) + seed;
    }
    key = mix(key ^ length);
    return key != 0 ? key : 1;
}

static size_t
place_of(const struct known *known, uint64_t key)
{
    return (size_t)key & (known->size - 1);
}

struct known_file *
known_find(const struct known *known, uint64_t key)
{
    if (known->count == 0)
        return NULL;
    for (size_t at = place_of(known, key);; at = (at + 1) & (known->size - 1)) {
        if (!known->files[at].used)
            return NULL;
        if (known->files[at].key == key)
            return &known->files[at];
    }
}

static struct known_file *
insert(struct known *known, const struct known_file *file)
{
    size_t at = place_of(known, file->key);

    while (known->files[at].used)
        at = (at + 1) & (known->size - 1);
    known->files[at] = *file;
    known->count++;
    return &known->files[at];
}

static void
resize(struct known *known, size_t size)
{
    struct known larger = {memory_new(size, sizeof(*larger.files)), size, 0};

    for (size_t at = 0; at < known->size; at++) {
        if (known->files[at].used)
            insert(&larger, &known->files[at]);
    }
    free(known->files);
    *known = larger;
}

struct known_file *
known_add(struct known *known, uint64_t key)
{
    struct known_file *file = known_find(known, key);

    if (file != NULL)
        return file;
    if (known->size == 0 || known->count >= known->size / 4 * 3)
        resize(known, known->size == 0 ? SIZE_FIRST : known->size * 2);
    return insert(known, &(struct known_file){.key = key, .used = true});
}

/* Moves back what stood behind the gap at GAP, so that every search still finds its way. */
static void
close_gap(struct known *known, size_t gap)
{
    size_t mask = known->size - 1;

    for (size_t at = (gap + 1) & mask; known->files[at].used; at = (at + 1) & mask) {
        size_t wanted = place_of(known, known->files[at].key);

        if (((at - wanted) & mask) < ((at - gap) & mask))
            continue;
        known->files[gap] = known->files[at];
        gap = at;
    }
    known->files[gap].used = false;
}

void
known_remove(struct known *known, uint64_t key)
{
    struct known_file *file = known_find(known, key);

    if (file == NULL)
        return;
    known->count--;
    close_gap(known, (size_t)(file - known->files));
    if (known->count == 0 && known->size > SIZE_FIRST)
        known_free(known);
}

bool
known_is_stale(const struct known_file *file, enum mail_state place, uint8_t pass)
{
    return file->used && file->place == (uint8_t)place && file->pass != pass &&
           file->kind != KNOWN_IN_HAND;
}

void
known_free(struct known *known)
{
    free(known->files);
    *known = (struct known){NULL, 0, 0};
}
