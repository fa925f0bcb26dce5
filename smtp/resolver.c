#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "smtp/resolver.h"

#define SWITCH_FILE "/etc/nsswitch.conf"

/* The modules stay loaded for the life of the process: their handles are of no use. */
static void
load_module(const char *name)
{
    char file[128];

    if (text_format(file, sizeof(file), "libnss_%s.so.2", name))
        (void)dlopen(file, RTLD_NOW);
}

/* "files mdns4_minimal [NOTFOUND=return] dns" */
static void
load_modules(char *names)
{
    char *rest = NULL;

    for (char *name = strtok_r(names, " \t\n", &rest); name != NULL;
         name = strtok_r(NULL, " \t\n", &rest)) {
        if (name[0] == '#')
            break;
        if (name[0] != '[' && strchr(name, '/') == NULL)
            load_module(name);
    }
}

void
resolver_load(void)
{
    FILE *file = fopen(SWITCH_FILE, "re");
    char *line = NULL;
    size_t size = 0;

    if (file == NULL)
        return;
    while (getline(&line, &size, file) >= 0) {
        char *names = line + strspn(line, " \t");

        if (strncmp(names, "hosts:", 6) == 0)
            load_modules(names + 6);
    }
    free(line);
    (void)fclose(file);
}
