/*
 * smailer, under whichever of its names it was called.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli/program.h"

static const struct {
    const char *name;
    int (*main)(int argc, char **argv);
} PROGRAMS[] = {
    {"smailer", smailer_main},
    {"sendmail", sendmail_main},
    {"mailq", mailq_main},
};

int
main(int argc, char **argv)
{
    const char *name = argc > 0 ? argv[0] : "smailer";

    if (strrchr(name, '/') != NULL)
        name = strrchr(name, '/') + 1;
    for (size_t i = 0; i < sizeof(PROGRAMS) / sizeof(PROGRAMS[0]); i++) {
        if (strcmp(PROGRAMS[i].name, name) == 0)
            return PROGRAMS[i].main(argc, argv);
    }
    return smailer_main(argc, argv);
}
