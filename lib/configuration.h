/*
 * The configuration: what main.cf, master.cf and accounts.cf say, checked and resolved by master,
 * and the part of it that each program is handed.
 *
 * Members, their types and defaults are listed in config.def. In a program, keys that are not for
 * it have their defaults, and arrays it gets nothing of are empty; places in arrays (a queue's or
 * an account's number) are the same in every program.
 */
#ifndef SMAILER_CONFIGURATION_H
#define SMAILER_CONFIGURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/role.h"
#include "lib/value.h"

enum log_to { LOG_TO_FILES, LOG_TO_SYSLOG, LOG_TO_STDERR };
enum sandbox_choice { SANDBOX_CHOICE_AUTO, SANDBOX_CHOICE_REQUIRED, SANDBOX_CHOICE_OFF };
enum unknown_sender { UNKNOWN_SENDER_DEFER, UNKNOWN_SENDER_DROP };
enum tls_mode { TLS_STARTTLS, TLS_SMTPS, TLS_NONE };
/* How to log in. AUTH_AUTO: by any way that takes a password; from AUTH_OAUTH on by token, which
 * master sees to where there is a token_command. */
enum auth {
    AUTH_AUTO,
    AUTH_PLAIN,
    AUTH_LOGIN,
    AUTH_CRAM_MD5,
    AUTH_OAUTH,
    AUTH_XOAUTH2,
    AUTH_OAUTHBEARER
};
enum tls_minimum { TLS_MINIMUM_1_0, TLS_MINIMUM_1_1, TLS_MINIMUM_1_2, TLS_MINIMUM_1_3 };

#define MEMBER_TEXT char *
#define MEMBER_PATH char *
#define MEMBER_RELATIVE char *
#define MEMBER_FILE char *
#define MEMBER_ADDRESS char *
#define MEMBER_BOOLEAN bool
#define MEMBER_COUNT unsigned
#define MEMBER_DURATION int64_t
#define MEMBER_SIZE int64_t
#define MEMBER_CHOICE int
#define MEMBER_LIST struct text_list
#define MEMBER_RELAY struct relay
#define MEMBER_SECRET bool

/* main.cf, what is outside of sections. log_level is an enum log_level, the other choices are the
 * enums above. */
struct settings {
#define SETTINGS_KEY(type, name, standard, range, roles, meaning) MEMBER_##type name;
#include "lib/config.def"
};

enum section_kind {
#define SECTION_KIND(KIND, kind) SECTION_##KIND,
#include "lib/config.def"
    SECTION_KIND_COUNT
};

/* A section of main.cf as it is written; only master has these. */
struct section_settings {
    enum section_kind kind;
    char *name;
#define SECTION_KEY(kind, type, name, standard, range, roles, meaning) MEMBER_##type name;
#include "lib/config.def"
};

/* A base: one queue of one sid, found through its section. interval is the gap between two tries of
 * a mail, expire the age that ends them; where that is 0, max_attempts does. */
struct queue_settings {
    enum section_kind kind;
#define QUEUE_MEMBER(type, name, roles) MEMBER_##type name;
#include "lib/config.def"
};

/* master.cf: a program. Each has the members its section lists, the others are zero. */
struct program_settings {
    char *user; /* "" or NULL: the spool user */
    unsigned instances;
    int64_t memory_limit; /* octets; 0: none */
    int64_t time_limit; /* ms */
};

/* accounts.cf: an account. Its password is a secret, see master/secrets.h. */
struct account_settings {
    char *address; /* "foo@example.com", "@example.com" or "default" */
#define ACCOUNT_KEY(type, name, standard, range, roles, meaning) MEMBER_##type name;
#include "lib/config.def"
};

/* The section of the mqueue in which notices are kept; no section of main.cf can have that name. */
#define CONFIGURATION_NOTICES ".notices"

struct configuration {
    struct settings settings;
    struct program_settings programs[ROLE_COUNT];
    struct section_settings *sections;
    size_t section_count;
    struct queue_settings *queues;
    size_t queue_count;
    struct account_settings *accounts;
    size_t account_count;
};

/* A key, as config.def lists it. */
struct key {
    const char
        *section; /* "" outside of sections, "spool", "smtp", "account"; "queue": no file's */
    const char *name;
    enum value_type type;
    size_t offset; /* of the member in its struct */
    const char *standard; /* the default; NULL: must be given */
    struct value_range range;
    unsigned roles; /* ROLE_BITs of the programs that are handed it */
    const char *meaning; /* a line for people */
    bool program; /* of master.cf, where a section may be called as one of main.cf is */
};

/* The keys of one section. */
struct key_table {
    const struct key *keys;
    size_t count;
};

/* The keys of SECTION of main.cf, accounts.cf or no file; none where nothing has that name. */
struct key_table keys_in(const char *section);

/* The keys of a section of master.cf. */
struct key_table keys_of_program(const char *program);

/* How many sections of KIND there are; for master, who alone has them. */
size_t configuration_sections(const struct configuration *configuration, enum section_kind kind);

/* Every key there is, section by section. */
struct key_table keys_all(void);

/* "spool" for SECTION_SPOOL. */
const char *section_kind_name(enum section_kind kind);

/* NULL where TABLE has no key of that name. */
const struct key *key_find(struct key_table table, const char *name);

/* The member of OBJECT that KEY is. */
void *key_member(const struct key *key, void *object);
const void *key_value(const struct key *key, const void *object);

/* Every key at its default; no section, queue or account. */
void configuration_init(struct configuration *configuration);

void configuration_free(struct configuration *configuration);

/* A new element at the end of the array, its keys at their defaults; a pointer to it lives until
 * the next one is added. */
struct section_settings *configuration_add_section(
    struct configuration *configuration, enum section_kind kind, const char *name);
/* Frees the sections beyond the first COUNT. */
void configuration_keep_sections(struct configuration *configuration, size_t count);
struct queue_settings *configuration_add_queue(struct configuration *configuration);
struct account_settings *configuration_add_account(
    struct configuration *configuration, const char *address);

/* Frees the queues, that they may be looked for again. */
void configuration_clear_queues(struct configuration *configuration);

/* True where an account logs in by a token. */
bool configuration_wants_tokens(const struct configuration *configuration);

/* The part that is ROLE's, in a new sealed memfd which the caller owns; -1 on failure. */
int configuration_encode(
    const struct configuration *configuration, enum role role, struct error *error);

/* Reads ROLE's part from DESCRIPTOR, which stays the caller's, into CONFIGURATION, which need not
 * be initialised; on failure nothing is left in it. A memfd that is not sealed is refused. */
bool configuration_decode(
    struct configuration *configuration, enum role role, int descriptor, struct error *error);

#endif
