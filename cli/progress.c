#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/progress.h"
#include "lib/text.h"

#define BAR_MAX 60
#define BAR_LEAST 5

unsigned
progress_terminal_width(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

/* How many columns of a bar of WIDTH are full. */
static unsigned
measure_bar(uint64_t done, uint64_t total, unsigned width)
{
    if (total == 0)
        return 0;
    return done >= total ? width : (unsigned)((double)done / (double)total * width);
}

static void
draw_bar(char *bar, unsigned width, unsigned full)
{
    memset(bar, '#', full);
    memset(bar + full, '.', width - full);
    bar[width] = '\0';
}

char *
progress_line(char *target, size_t size, const struct progress *progress, unsigned width)
{
    uint64_t done = progress->sent + progress->deferred + progress->dropped + progress->skipped;
    char counts[256];
    char bar[BAR_MAX + 1];
    unsigned taken;
    unsigned bar_width;

    taken = (unsigned)snprintf(counts, sizeof(counts),
        "%" PRIu64 "/%" PRIu64 ": %" PRIu64 " sent, %" PRIu64 " deferred, %" PRIu64 " dropped",
        done, progress->total, progress->sent, progress->deferred, progress->dropped);
    /* The brackets, a blank, and the last column, where terminals differ. */
    bar_width = width > taken + 4 ? width - taken - 4 : 0;
    if (bar_width < BAR_LEAST) {
        text_format(target, size < width ? size : width, "%s", counts);
        return target;
    }
    if (bar_width > BAR_MAX)
        bar_width = BAR_MAX;
    draw_bar(bar, bar_width, measure_bar(done, progress->total, bar_width));
    text_format(target, size, "[%s] %s", bar, counts);
    return target;
}
