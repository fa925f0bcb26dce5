/*
 * Which jobs -qI, -qR and -qS ask for.
 */
#ifndef SMAILER_MAILQ_SELECTION_H
#define SMAILER_MAILQ_SELECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/field.h"

struct mailq_condition {
    char kind; /* 'I', 'R', 'S' */
    bool negated;
    const char *text; /* the caller's; "" fits all */
};

/* All zero selects everything. */
struct mailq_selection {
    struct mailq_condition *conditions;
    size_t count;
    char queue; /* 'Q': quarantined jobs, 'L': lost ones, NUL: the others */
};

void mailq_selection_add(
    struct mailq_selection *selection, char kind, bool negated, const char *text);

void mailq_selection_free(struct mailq_selection *selection);

/* True where the job of the control file NAME ("qfAA00269"), of which DETAILS are known (see
 * queue/control_details.h), is selected. */
bool mailq_selection_fits(
    const struct mailq_selection *selection, const char *name, const struct bytes *details);

#endif
