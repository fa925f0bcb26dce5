#include <string.h>

#include "pickup/run.h"
#include "pickup/suspects.h"

#define SUSPECTS_MAX 1000

static struct {
    struct suspect suspects[SUSPECTS_MAX];
    size_t count;
} all;

bool
suspects_add(struct base *base, const struct candidate *candidate)
{
    struct known_file *file;

    if (all.count == SUSPECTS_MAX)
        return false;
    file = known_add(&base->known, known_key(candidate->place, candidate->name));
    base_note_unparked(base, file);
    /* As good as in hand: neither inotify nor a pass is to bring it again. */
    file->kind = KNOWN_IN_HAND;
    file->place = (uint8_t)candidate->place;
    file->again = false;
    run_adopt(base->run, file);
    all.suspects[all.count++] = (struct suspect){base, *candidate};
    return true;
}

static size_t
find(void)
{
    size_t at = 0;

    while (at < all.count &&
           (all.suspects[at].base->room == 0 || all.suspects[at].base->queue == NULL))
        at++;
    return at;
}

bool
suspects_take(struct suspect *suspect)
{
    size_t at = find();

    if (at == all.count)
        return false;
    *suspect = all.suspects[at];
    all.count--;
    memmove(all.suspects + at, all.suspects + at + 1, (all.count - at) * sizeof(*suspect));
    return true;
}

bool
suspects_wait(void)
{
    return find() < all.count;
}
