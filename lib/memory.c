#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>

#include "lib/log.h"
#include "lib/memory.h"

void *
memory_new(size_t count, size_t size)
{
    void *block = calloc(count > 0 ? count : 1, size);

    if (block == NULL)
        fatal(EX_OSERR, "out of memory: %zu x %zu octets", count, size);
    return block;
}

void *
memory_resize(void *block, size_t count, size_t size)
{
    void *larger = reallocarray(block, count > 0 ? count : 1, size);

    if (larger == NULL)
        fatal(EX_OSERR, "out of memory: %zu x %zu octets", count, size);
    return larger;
}

char *
memory_copy_text(const char *text)
{
    char *copy = strdup(text);

    if (copy == NULL)
        fatal(EX_OSERR, "out of memory: %zu octets", strlen(text) + 1);
    return copy;
}

char *
memory_format(const char *format, ...)
{
    va_list arguments;
    char *text;
    int length;

    va_start(arguments, format);
    length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        fatal(EX_OSERR, "out of memory while formatting a text");
    return text;
}

void *
memory_guarded(size_t size)
{
    void *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (block == MAP_FAILED)
        fatal(EX_OSERR, "out of memory: %zu octets", size);
    /* Neither is a condition: a limit on locked memory must not stop the mail. Only the pages that
     * something is written to are locked, and there. */
    (void)mlock2(block, size, MLOCK_ONFAULT);
    (void)madvise(block, size, MADV_DONTDUMP);
    return block;
}

void
memory_guarded_free(void *block, size_t size)
{
    if (block == NULL)
        return;
    explicit_bzero(block, size);
    munmap(block, size);
}
