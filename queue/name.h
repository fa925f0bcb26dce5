/*
 * Names of files: which are mails, and which others stand for a name that was taken.
 *
 * A mail whose name is taken where it goes becomes NAME.HEX16.EXTENSION (NAME.HEX16 where there is
 * no extension; NAME.N.HEX16 and so on should that be taken too), where HEX16 is its id's hash. So
 * it stays what `pattern` and applications look for, and its record is found without an index.
 */
#ifndef SMAILER_QUEUE_NAME_H
#define SMAILER_QUEUE_NAME_H

#include "queue/internal.h"

#define NAME_HASH_SIZE 17 /* 16 upper-case hexadecimal digits, and NUL */
#define NAME_VARIANTS_MAX 100U /* names that are tried, after its own */

bool name_is_mail(const struct queue *queue, const char *name);

/* The id's hash of the file that was called NAME at first. */
uint64_t name_hash(const struct queue *queue, const char *name, int64_t mtime_ns);

void name_format_hash(char text[NAME_HASH_SIZE], uint64_t hash);

/* False where TEXT does not begin with 16 such digits. */
bool name_parse_hash(const char *text, uint64_t *hash);

/* The NUMBERth name (from 0) beside NAME itself for a mail with that hash. It is cut to fit. */
void name_variant(
    char variant[QUEUE_NAME_SIZE], const char *name, uint64_t hash, unsigned int number);

/* True where VARIANT has the form of one; then the hash in it and what NAME was, if
 * it was not cut or numbered. */
bool name_of_variant(const char *variant, uint64_t *hash, char name[QUEUE_NAME_SIZE]);

/* The name of document NUMBER (from 1) of the list NAME. False where it would not be a mail's. */
bool name_document(const struct queue *queue, char document[QUEUE_NAME_SIZE], const char *name,
    unsigned int number);

#endif
