/*
 * The progress of a run, on a terminal.
 */
#ifndef SMAILER_PROGRESS_H
#define SMAILER_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

#define PROGRESS_LINE_SIZE 512

struct progress {
    uint64_t total; /* found so far */
    uint64_t sent;
    uint64_t deferred;
    uint64_t dropped;
    uint64_t skipped;
};

/* "[####....] 4/8: 3 sent, 1 deferred, 0 dropped" in fewer than WIDTH columns; returns TARGET. */
char *progress_line(char *target, size_t size, const struct progress *progress, unsigned width);

/* Columns of the terminal at standard output; 80 where it does not say. */
unsigned progress_terminal_width(void);

#endif
