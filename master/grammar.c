#include "master/grammar.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/spelling.h"
#include "lib/text.h"

#define FILE_MAX (64L * 1024 * 1024)

/* A key of ours behind what the file says, for libconfuse does not mind a section that never ends:
 * there the key is unknown, and in a comment without an end it is not seen. */
#define END_KEY "end_of_file"
#define END_TEXT "\n" END_KEY " = yes\n"

/* libconfuse's callbacks are told nothing of ours, hence where they find it while a file is read.
 */
static struct {
    struct error *error;
    bool failed; /* the first error is the one that is told */
    struct secrets *captured;
    char place[24]; /* of the last secret in CAPTURED */
} reading;

/* Sections with a title are of main.cf or accounts.cf, those without of master.cf. */
static struct key_table
keys_section(const char *name, bool titled)
{
    return titled ? keys_in(name) : keys_of_program(name);
}

/* libconfuse calls what is outside of sections "root". */
static struct key_table
keys_of(const cfg_t *section)
{
    if (strcmp(section->name, "root") == 0)
        return keys_in("");
    return keys_section(section->name, cfg_title((cfg_t *)(uintptr_t)section) != NULL);
}

/* The name in SECTION that is most like NAME; NULL where none is like it. */
static const char *
nearest_name(const cfg_t *section, const char *name)
{
    const char *nearest = NULL;
    size_t best = strlen(name) / 3 + 2;
    for (const cfg_opt_t *option = section->opts; option->name != NULL; option++) {
        size_t distance = spelling_distance(name, option->name);
        if (distance < best && strcmp(option->name, END_KEY) != 0) {
            nearest = option->name;
            best = distance;
        }
    }
    return nearest;
}

/* What libconfuse says with a piece of the file in it, which may be one of a password. */
static const struct {
    const char *beginning;
    const char *instead;
} HARMLESS[] = {
    {"unexpected token '", "expected a key, = and a value, which stands between quotes where it "
                           "has blanks or one of #,=+(){}'\" in it"},
    {"bad escape sequence '", "expected two backslashes for one, or single quotes"},
    {"invalid octal number '", "expected two backslashes for one, or single quotes"},
};

/* True where SECTION is of the file that has passwords. */
static bool
section_has_secrets(cfg_t *section)
{
    return cfg_getopt(section, "password") != NULL || cfg_getopt(section, "account") != NULL;
}

/* libconfuse's "no such option 'NAME'" in words that help. */
static void
unknown_explain(cfg_t *section, const char *name, char *text, size_t size)
{
    const char *nearest = nearest_name(section, name);
    const char *told = section_has_secrets(section) ? "..." : name;
    if (strcmp(name, END_KEY) == 0) {
        text_format(text, size, "the section \"%s\" does not end: expected }", section->name);
        return;
    }
    if (nearest != NULL) {
        text_format(text, size, "there is no key \"%s\"; \"%s\" is meant?", told, nearest);
        return;
    }
    int used = snprintf(text, size, "there is no key \"%s\" here; expected", told);
    for (const cfg_opt_t *option = section->opts; option->name != NULL; option++)
        if (strcmp(option->name, END_KEY) != 0 && used > 0 && (size_t)used < size)
            used += snprintf(text + used, size - (size_t)used, "%s %s",
                option == section->opts ? "" : ",", option->name);
}

/* libconfuse's TEXT in better words, where there are some. */
static void
message_improve(cfg_t *section, char *text, size_t size)
{
    static const char UNKNOWN[] = "no such option '";
    char name[64];
    if (strncmp(text, UNKNOWN, sizeof UNKNOWN - 1) == 0) {
        const char *start = text + sizeof UNKNOWN - 1;
        text_format(name, sizeof name, "%.*s", (int)strcspn(start, "'"), start);
        unknown_explain(section, name, text, size);
        return;
    }
    for (size_t i = 0; i < sizeof HARMLESS / sizeof *HARMLESS; i++)
        if (strncmp(text, HARMLESS[i].beginning, strlen(HARMLESS[i].beginning)) == 0)
            text_format(text, size, "%s", HARMLESS[i].instead);
}

static void error_receive(cfg_t *section, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void
error_receive(cfg_t *section, const char *format, va_list arguments)
{
    char text[ERROR_TEXT_SIZE / 2];
    char shown[ERROR_TEXT_SIZE / 2];
    if (reading.failed)
        return;
    reading.failed = true;
    text_format_list(text, sizeof text, format, arguments);
    message_improve(section, text, sizeof text);
    error_set(reading.error, "%s:%d: %s", section->filename, section->line,
        text_escape(shown, sizeof shown, text));
}

/* Keeps the secret VALUE and gives its place in its stead, so that libconfuse has no copy. */
static int
secret_capture(cfg_t *section, const char *value, const char **result)
{
    struct error error;
    int descriptor = secret_seal((char *)(uintptr_t)value, &error);
    if (descriptor < 0) {
        cfg_error(section, "%s", error.text);
        return -1;
    }
    text_format(reading.place, sizeof reading.place, "%zu", reading.captured->count);
    secrets_add(reading.captured, descriptor);
    *result = reading.place;
    return 0;
}

union value {
    char *text;
    bool boolean;
    unsigned count;
    int64_t number;
    int choice;
    struct text_list list;
    struct relay relay;
};

/* True where VALUE says no more than that the default holds. */
static bool
value_is_standard(const struct key *key, const char *value)
{
    return key->standard != NULL && strcmp(key->standard, value) == 0;
}

static int
value_check(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
    const struct key *key = key_find(keys_of(section), option->name);
    union value parsed = {0};
    struct error error;
    if (key == NULL)
        return -1;
    if (strcmp(value, END_KEY) == 0) {
        cfg_error(section, "%s: the file ends where its value is expected", key->name);
        return -1;
    }
    if (!value_is_standard(key, value) &&
        !value_parse(key->type, &key->range, value, &parsed, &error)) {
        cfg_error(section, "%s: %s", key->name, error.text);
        return -1;
    }
    value_free(key->type, &parsed);
    if (key->type == VALUE_SECRET)
        return secret_capture(section, value, result);
    *(const char **)result = value;
    return 0;
}

/* libconfuse's options for TABLE, with ROOM for more, ended. */
static cfg_opt_t *
options_make(struct key_table table, size_t room)
{
    cfg_opt_t *options = memory_new(table.count + room + 1, sizeof *options);
    for (size_t i = 0; i < table.count; i++)
        options[i] = (cfg_opt_t){.name = table.keys[i].name,
            .type = CFGT_STR,
            .flags = CFGF_NODEFAULT | (table.keys[i].type == VALUE_LIST ? CFGF_LIST : CFGF_NONE),
            .parsecb = value_check};
    return options;
}

static cfg_t *
parser_make(const struct grammar *grammar)
{
    size_t sections = 0;
    while (grammar->sections[sections] != NULL)
        sections++;
    struct key_table keys = keys_in(grammar->has_keys ? "" : "no section");
    cfg_opt_t *options = options_make(keys, sections + 1);
    for (size_t i = 0; i < sections; i++)
        options[keys.count + i] = (cfg_opt_t){.name = grammar->sections[i],
            .type = CFGT_SEC,
            .flags = CFGF_NODEFAULT |
                     (grammar->titled ? CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES : CFGF_NONE),
            .subopts = options_make(keys_section(grammar->sections[i], grammar->titled), 0)};
    options[keys.count + sections] =
        (cfg_opt_t){.name = END_KEY, .type = CFGT_BOOL, .flags = CFGF_NODEFAULT};
    cfg_t *parser = cfg_init(options, CFGF_NONE); /* which copies them */
    if (parser == NULL)
        fatal(EX_OSERR, "out of memory: a parser");
    for (size_t i = 0; i < sections; i++)
        free(options[keys.count + i].subopts);
    free(options);
    return parser;
}

static bool
stream_parse(cfg_t *parser, FILE *stream, struct grammar_file *file, struct error *error)
{
    reading.error = error;
    reading.failed = false;
    reading.captured = &file->captured;
    int outcome = cfg_parse_fp(parser, stream);
    reading.captured = NULL;
    reading.error = NULL;
    if (reading.failed)
        return false;
    if (outcome != CFG_SUCCESS || cfg_size(parser, END_KEY) == 0)
        return error_set(error, "%s: it ends within a comment or a value", parser->filename);
    return true;
}

/* Parses TEXT. It may hold secrets, so the stream's memory is wiped here, and the scanner's by
 * free(), which M_PERTURB makes overwrite what it takes. */
static bool
text_parse(cfg_t *parser, char *text, size_t length, struct grammar_file *file, struct error *error)
{
    char block[BUFSIZ];
    FILE *stream = fmemopen(text, length, "r");
    if (stream == NULL)
        return error_errno(error, "read %s", parser->filename);
    setvbuf(stream, block, _IOFBF, sizeof block);
    mallopt(M_PERTURB, 1);
    bool parsed = stream_parse(parser, stream, file, error);
    (void)fclose(stream);
    mallopt(M_PERTURB, 0);
    explicit_bzero(block, sizeof block);
    return parsed;
}

/* The text of DESCRIPTOR, *LENGTH octets with END_TEXT behind them; NULL on failure. */
static char *
text_read(int descriptor, const char *path, off_t size, size_t *length, struct error *error)
{
    if (size > FILE_MAX) {
        error_set(
            error, "%s has %jd octets: expected %ld at the most", path, (intmax_t)size, FILE_MAX);
        return NULL;
    }
    char *text = memory_new((size_t)size + sizeof END_TEXT, 1);
    ssize_t got = size > 0 ? read(descriptor, text, (size_t)size) : 0;
    if (got != size || memchr(text, '\0', (size_t)size) != NULL) {
        if (got < 0)
            error_errno(error, "read %s", path);
        else
            error_set(error, "%s: expected text, without octets that are 0", path);
        explicit_bzero(text, (size_t)size);
        free(text);
        return NULL;
    }
    memcpy(text + size, END_TEXT, sizeof END_TEXT);
    *length = (size_t)size + sizeof END_TEXT - 1;
    return text;
}

/* The text of the file PATH, as text_read gives it, and the file's STATUS. */
static char *
file_read(const char *path, struct stat *status, size_t *length, struct error *error)
{
    char *text = NULL;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor < 0) {
        error_errno(error, "open %s", path);
        return NULL;
    }
    if (fstat(descriptor, status) != 0)
        error_errno(error, "look at %s", path);
    else if (!S_ISREG(status->st_mode))
        error_set(error, "%s is no regular file", path);
    else
        text = text_read(descriptor, path, status->st_size, length, error);
    close(descriptor);
    return text;
}

bool
grammar_read(
    const struct grammar *grammar, const char *path, struct grammar_file *file, struct error *error)
{
    size_t length;
    *file = (struct grammar_file){0};
    char *text = file_read(path, &file->status, &length, error);
    if (text == NULL)
        return false;
    file->root = parser_make(grammar);
    cfg_set_error_function(file->root, error_receive);
    file->root->filename = memory_copy_text(path);
    bool parsed = text_parse(file->root, text, length, file, error);
    explicit_bzero(text, length);
    free(text);
    if (!parsed)
        grammar_free(file);
    return parsed;
}

void
grammar_free(struct grammar_file *file)
{
    if (file->root != NULL)
        cfg_free(file->root);
    secrets_free(&file->captured);
    *file = (struct grammar_file){0};
}

bool
grammar_error(cfg_t *section, struct error *error)
{
    char words[ERROR_TEXT_SIZE];
    text_format(words, sizeof words, "%s", error->text);
    text_escape(error->text, sizeof error->text, words);
    return error_prefix(error, "%s:%d", section->filename, section->line);
}

bool
grammar_take(cfg_t *section, struct key_table table, void *object, struct error *error)
{
    for (size_t i = 0; i < table.count; i++) {
        const struct key *key = &table.keys[i];
        cfg_opt_t *option = cfg_getopt(section, key->name);
        unsigned count = option == NULL ? 0 : cfg_opt_size(option);
        if (key->standard == NULL && count == 0) {
            error_set(error, "%s %s: \"%s\" is missing: %s", section->name,
                section->title == NULL ? "" : section->title, key->name, key->meaning);
            return grammar_error(section, error);
        }
        for (unsigned at = 0; at < count; at++) {
            const char *value = cfg_opt_getnstr(option, at);
            bool parsed =
                value_parse(key->type, &key->range, value, key_member(key, object), error);
            if (!parsed && !value_is_standard(key, value))
                return grammar_error(section, error);
        }
    }
    return true;
}
