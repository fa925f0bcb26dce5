#include "cli/mailq_selection.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/memory.h"
#include "queue/control_details.h"

void
mailq_selection_add(struct mailq_selection *selection, char kind, bool negated, const char *text)
{
    selection->conditions =
        memory_resize(selection->conditions, selection->count + 1, sizeof(*selection->conditions));
    selection->conditions[selection->count++] = (struct mailq_condition){kind, negated, text};
}

void
mailq_selection_free(struct mailq_selection *selection)
{
    free(selection->conditions);
    *selection = (struct mailq_selection){.count = 0};
}

/* The case of queue ids matters, that of addresses does not. */
static bool
is_within(const struct mailq_condition *condition, const char *text)
{
    if (condition->kind == 'I')
        return strstr(text, condition->text) != NULL;
    return strcasestr(text, condition->text) != NULL;
}

/* True where any condition of KIND is fulfilled by TEXT. */
static bool
fits_any(const struct mailq_selection *selection, char kind, const char *text)
{
    for (size_t i = 0; i < selection->count; i++) {
        const struct mailq_condition *condition = &selection->conditions[i];

        if (condition->kind == kind && is_within(condition, text) != condition->negated)
            return true;
    }
    return false;
}

static bool
has_kind(const struct mailq_selection *selection, char kind)
{
    for (size_t i = 0; i < selection->count; i++)
        if (selection->conditions[i].kind == kind)
            return true;
    return false;
}

/* Of a recipient, only what follows its flags is looked at. */
static const char *
skip_flags(const char *text)
{
    const char *colon = strchr(text, ':');

    return colon != NULL ? colon + 1 : text;
}

/* True where a line of KIND fits; of several recipients, one is enough. */
static bool
fits_line(const struct mailq_selection *selection, char kind, const struct bytes *details)
{
    const char *line = NULL;

    while ((line = control_details_next(details->data, details->size, line)) != NULL) {
        const char *text = kind == 'R' ? skip_flags(line + 1) : line + 1;

        if (line[0] == kind && fits_any(selection, kind, text))
            return true;
    }
    return false;
}

bool
mailq_selection_fits(
    const struct mailq_selection *selection, const char *name, const struct bytes *details)
{
    static const char LINE_KINDS[] = "RS";

    if (has_kind(selection, 'I') && !fits_any(selection, 'I', name))
        return false;
    for (size_t i = 0; LINE_KINDS[i] != '\0'; i++)
        if (has_kind(selection, LINE_KINDS[i]) && !fits_line(selection, LINE_KINDS[i], details))
            return false;
    return true;
}
