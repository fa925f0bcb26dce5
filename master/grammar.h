/*
 * A configuration file as libconfuse reads it, by the keys of lib/config.def; nothing else in
 * smailer knows libconfuse.
 */
#ifndef SMAILER_GRAMMAR_H
#define SMAILER_GRAMMAR_H

#include <confuse.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "lib/configuration.h"
#include "lib/error.h"
#include "master/secrets.h"

struct grammar {
    const char *const *sections; /* their names, ended by NULL */
    bool titled; /* they have titles, and may be there many times */
    bool has_keys; /* main.cf's keys outside of sections */
};

/* A file that was read. */
struct grammar_file {
    cfg_t *root;
    struct stat status; /* of the file as it was when it was opened */
    struct secrets captured; /* each VALUE_SECRET; its value in root is its place here */
};

/* Reads PATH, checking every value's type and range. An error names file and line. */
bool grammar_read(const struct grammar *grammar, const char *path, struct grammar_file *file,
    struct error *error);

void grammar_free(struct grammar_file *file);

/* Takes over from SECTION, a section of a file or its root, what it says about TABLE's keys into
 * OBJECT. False where one that must be there is not. */
bool grammar_take(cfg_t *section, struct key_table table, void *object, struct error *error);

/* ERROR's text, which may have what the file says in it, made safe to show, with the place of
 * SECTION's end before it; returns false. */
bool grammar_error(cfg_t *section, struct error *error);

#endif
