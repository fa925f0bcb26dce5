/*
 * Memory that is there: out of memory ends the process, which its supervisor starts again.
 */
#ifndef SMAILER_MEMORY_H
#define SMAILER_MEMORY_H

#include <stddef.h>

/* COUNT zeroed elements of SIZE octets; free() takes them back. */
void *memory_new(size_t count, size_t size) __attribute__((malloc, returns_nonnull));

/* BLOCK with room for COUNT elements of SIZE octets; what is new is not zeroed. */
void *memory_resize(void *block, size_t count, size_t size) __attribute__((returns_nonnull));

char *memory_copy_text(const char *text) __attribute__((malloc, returns_nonnull));

/* asprintf() into memory of the caller's. */
char *memory_format(const char *format, ...)
    __attribute__((format(printf, 1, 2), malloc, returns_nonnull));

/* SIZE zeroed octets for a secret: never dumped and, as far as the limit on locked memory goes,
 * never swapped. For memory_guarded_free(). */
void *memory_guarded(size_t size) __attribute__((malloc, returns_nonnull));

/* Wipes and frees the SIZE octets at BLOCK. NULL is allowed. */
void memory_guarded_free(void *block, size_t size);

#endif
