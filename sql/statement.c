#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "sql/statement.h"

/* In a template, {name} is replaced; see make_words. */

/* A row that waits; an index has just these. */
#define WAITING "(t.{status} IS NULL OR t.{status} = '')"

/* What claims are fair between: bounded, for an application may write anything there, and an index
 * entry has its limit. */
#define SENDER "coalesce(left(t.{sender}::text, 100), '') COLLATE \"C\""

/* Differs where the application has changed what would be sent. */
#define VERSION "hashtextextended(ROW(t.{sender}, t.{address}, t.{topic}, t.{content})::text, 0)"

#define OCTETS                                                                                     \
    "(coalesce(octet_length(t.{sender}::text), 0) + coalesce(octet_length(t.{address}::text), 0)"  \
    " + coalesce(octet_length(t.{topic}::text), 0) + coalesce(octet_length(t.{content}::text), "   \
    "0))"

#define MILLISECONDS(time) "(extract(epoch FROM " time ") * 1000)::bigint"

/* The columns of enum row_column; FITS: which rows' fields are given at once. */
#define COLUMNS(fits)                                                                              \
    SENDER ", t.{key}::text, coalesce(t.{status} = 'd', false), coalesce(m.attempts, 0),"          \
           " coalesce(m.strikes, 0), coalesce(" MILLISECONDS(                                      \
               "m.seen") ", 0), " VERSION ", " OCTETS ", {time_text}"                              \
                         ", CASE WHEN " fits " THEN t.{sender}::text END"                          \
                         ", CASE WHEN " fits " THEN t.{address}::text END"                         \
                         ", CASE WHEN " fits " THEN t.{topic}::text END"                           \
                         ", CASE WHEN " fits " THEN t.{content}::text END"

#define INLINE OCTETS " <= 65536"

/* Where $1 is the claimant, $2 is its session. A statement that a connection left behind when it
 * broke is over before the next session begins, or does nothing: each holds the session's row,
 * which the next one must change. */
#define ME "me AS (SELECT FROM {hosts} WHERE id = $1 AND session = $2 FOR SHARE)"
#define IS_ME "EXISTS (SELECT FROM me)"

static const char *const TEMPLATES[STATEMENT_KINDS] = {
    /* $3 host, $4 lease in ms. Tells whether the claimant was still there, so that what it has
     * claimed is still its own. */
    [STATEMENT_REGISTER] =
        "WITH old AS (SELECT FROM {hosts} WHERE id = $1 FOR UPDATE)"
        " INSERT INTO {hosts} AS h (id, session, host, lease_until)"
        " SELECT $1, $2, $3, now() + $4::bigint * interval '1 ms' FROM (SELECT count(*) FROM old) o"
        " ON CONFLICT (id) DO UPDATE SET session = excluded.session, host = excluded.host,"
        " lease_until = excluded.lease_until"
        " RETURNING EXISTS (SELECT FROM old)",

    /* $3 lease in ms. One that is over is renewed as long as nobody took over. */
    [STATEMENT_RENEW] = "UPDATE {hosts} SET lease_until = now() + $3::bigint * interval '1 ms'"
                        " WHERE id = $1 AND session = $2 RETURNING true",

    /* Gives back what those have whose lease is over, or who are not there. Only who is removed
     * loses its rows: one that comes back at this very moment finds out by that, or keeps all. */
    [STATEMENT_TAKE_OVER] =
        "WITH " ME ", over AS (SELECT id FROM {hosts} WHERE lease_until < now() AND id <> $1"
        " AND " IS_ME " FOR UPDATE SKIP LOCKED),"
        " dead AS (DELETE FROM {hosts} h USING over WHERE h.id = over.id RETURNING h.id, h.host),"
        " lost AS (SELECT m.key, m.claimant FROM {own} m WHERE m.claimant IS NOT NULL"
        " AND m.claimant <> $1 AND " IS_ME
        " AND (EXISTS (SELECT FROM dead d WHERE d.id = m.claimant)"
        " OR NOT EXISTS (SELECT FROM {hosts} h WHERE h.id = m.claimant))),"
        " freed AS (UPDATE {own} m SET claimant = NULL FROM lost l"
        " WHERE m.key = l.key AND m.claimant = l.claimant RETURNING 1)"
        " SELECT (SELECT string_agg(host, ', ') FROM dead), (SELECT count(*) FROM freed)",

    /* $3 keys that it has in hand: all else it does not have. */
    [STATEMENT_RECONCILE] = "WITH " ME " UPDATE {own} m SET claimant = NULL"
                            " WHERE m.claimant = $1 AND m.key <> ALL ($3::{type}[]) AND " IS_ME,

    /* $3 the sender to begin with, $4 how many rows, $5 senders to leave out. The next 32 senders
     * in turn get an even part. */
    [STATEMENT_CLAIM] =
        "WITH RECURSIVE " ME ", looked(sender, n) AS ("
        "(SELECT " SENDER ", 1 FROM {table} t WHERE " WAITING " AND " SENDER " >= $3"
        " ORDER BY " SENDER " LIMIT 1)"
        " UNION ALL SELECT x.sender, l.n + 1 FROM looked l CROSS JOIN LATERAL ("
        "SELECT " SENDER " AS sender FROM {table} t WHERE " WAITING " AND " SENDER " > l.sender"
        " ORDER BY " SENDER " LIMIT 1) x WHERE l.n < 32),"
        " senders AS (SELECT sender FROM looked WHERE sender <> ALL ($5::text[])),"
        " picked AS (SELECT p.key FROM senders s CROSS JOIN LATERAL ("
        "SELECT t.{key} AS key FROM {table} t WHERE " WAITING " AND " SENDER " = s.sender"
        " AND NOT EXISTS (SELECT FROM {own} m WHERE m.key = t.{key}"
        " AND (m.claimant IS NOT NULL OR m.not_before > now()))"
        " ORDER BY " SENDER "{time_order}"
        " LIMIT (SELECT ceil($4::numeric / greatest(count(*), 1))::bigint FROM senders)"
        " FOR UPDATE OF t SKIP LOCKED) p WHERE " IS_ME "),"
        " m AS (INSERT INTO {own} AS o (key, claimant) SELECT key, $1 FROM picked"
        " ON CONFLICT (key) DO UPDATE SET claimant = excluded.claimant WHERE o.claimant IS NULL"
        " RETURNING o.key, o.attempts, o.strikes, o.seen)"
        " SELECT sender, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL"
        " FROM looked"
        " UNION ALL SELECT " COLUMNS(INLINE) " FROM m JOIN {table} t ON t.{key} = m.key",

    /* $3 how many rows, $4 senders to leave out. */
    [STATEMENT_CLAIM_DUE] =
        "WITH " ME ", due AS (SELECT m.key FROM {own} m JOIN {table} t ON t.{key} = m.key"
        " WHERE m.claimant IS NULL AND m.next_try <= now() AND t.{status} = 'd' AND " IS_ME
        " AND (m.not_before IS NULL OR m.not_before <= now()) AND " SENDER " <> ALL ($4::text[])"
        " ORDER BY m.next_try LIMIT $3::bigint FOR UPDATE OF m, t SKIP LOCKED),"
        " m AS (UPDATE {own} o SET claimant = $1 FROM due WHERE o.key = due.key"
        " RETURNING o.key, o.attempts, o.strikes, o.seen)"
        " SELECT " COLUMNS(INLINE) " FROM m JOIN {table} t ON t.{key} = m.key",

    /* The same for those whose time has not come. $5 when the run began, ms since the epoch: what
     * was tried since then has been. */
    [STATEMENT_CLAIM_FORCED] =
        "WITH " ME ", due AS (SELECT m.key FROM {own} m JOIN {table} t ON t.{key} = m.key"
        " WHERE m.claimant IS NULL AND m.next_try IS NOT NULL AND t.{status} = 'd' AND " IS_ME
        " AND (m.last_try IS NULL OR " MILLISECONDS(
            "m.last_try") " < $5::bigint)"
                          " AND " SENDER " <> ALL ($4::text[])"
                          " ORDER BY m.next_try LIMIT $3::bigint FOR UPDATE OF m, t SKIP LOCKED),"
                          " m AS (UPDATE {own} o SET claimant = $1 FROM due WHERE o.key = due.key"
                          " RETURNING o.key, o.attempts, o.strikes, o.seen)"
                          " SELECT " COLUMNS(INLINE) " FROM m JOIN {table} t ON t.{key} = m.key",

    /* $1 key, $2 the most octets. */
    [STATEMENT_FETCH] = "SELECT " COLUMNS(
        OCTETS " <= $2::bigint") " FROM {table} t"
                                 " LEFT JOIN {own} m ON m.key = t.{key} WHERE t.{key} = $1::{type}",

    /* $3 keys, $4 ms until they may be claimed again. */
    [STATEMENT_RELEASE] = "WITH " ME " UPDATE {own} SET claimant = NULL, not_before ="
                          " CASE WHEN $4::bigint > 0 THEN now() + $4::bigint * interval '1 ms' END"
                          " WHERE claimant = $1 AND key = ANY ($3::{type}[]) AND " IS_ME,

    /* $3 whether the record of what was sent stays, then arrays: $4 key, $5 status ('' leaves it),
     * $6 version, $7 attempts, $8 strikes, $9 ms to the next try, $10 stage, $11 code, $12 reason,
     * $13 id. A mail that was sent is S whoever has it now. No answer: this session is over. */
    [STATEMENT_RECORD] =
        "WITH " ME ", input AS (SELECT * FROM unnest($4::{type}[], $5::text[], $6::bigint[],"
        " $7::int[], $8::int[], $9::bigint[], $10::text[], $11::int[], $12::text[], $13::text[])"
        " WITH ORDINALITY AS"
        " i(key, status, version, attempts, strikes, retry_in, stage, code, reason, id, n)"
        " WHERE " IS_ME "),"
        " seen AS (SELECT i.key, i.status, t.{status} AS old, " VERSION " = i.version AS same,"
        " coalesce(m.claimant = $1, false) AS mine,"
        " (" WAITING " OR t.{status} = 'd') AND " VERSION " = i.version"
        " AND (i.status = 'S' OR coalesce(m.claimant = $1, false)) AS fits"
        " FROM input i JOIN {table} t ON t.{key} = i.key LEFT JOIN {own} m ON m.key = i.key"
        " FOR UPDATE OF t),"
        " changed AS (UPDATE {table} t SET {status} = s.status FROM seen s"
        " WHERE t.{key} = s.key AND s.fits AND s.status <> ''"
        " AND s.old IS DISTINCT FROM s.status RETURNING 1),"
        " kept AS (UPDATE {own} m SET claimant = NULL, not_before = NULL, attempts = i.attempts,"
        " strikes = i.strikes, stage = i.stage, code = i.code, reason = i.reason, id = i.id,"
        " first_try = CASE WHEN i.attempts > 0 THEN coalesce(m.first_try, now()) END,"
        " last_try = CASE WHEN i.attempts > m.attempts THEN now() ELSE m.last_try END,"
        " next_try = CASE WHEN i.status = 'd' THEN now() + i.retry_in * interval '1 ms' END,"
        " ended = CASE WHEN i.status IN ('S', 'D') THEN now() END"
        " FROM input i JOIN seen s ON s.key = i.key"
        " WHERE m.key = i.key AND s.fits AND (i.status <> 'S' OR $3::boolean) RETURNING 1),"
        " gone AS (DELETE FROM {own} m USING input i LEFT JOIN seen s ON s.key = i.key"
        " WHERE m.key = i.key AND (m.claimant = $1 OR i.status = 'S')"
        " AND (NOT coalesce(s.fits, false) OR (i.status = 'S' AND NOT $3::boolean)) RETURNING 1)"
        " SELECT i.n, s.key IS NOT NULL, coalesce(s.fits, false), s.old, s.same, s.mine"
        " FROM input i LEFT JOIN seen s ON s.key = i.key",

    /* $1 ms over which the tries of deferred rows are spread that smailer did not defer. */
    [STATEMENT_ADOPT] =
        "INSERT INTO {own} AS o (key, next_try)"
        " SELECT t.{key}, now() + random() * $1::bigint * interval '1 ms' FROM {table} t"
        " WHERE t.{status} = 'd' AND NOT EXISTS (SELECT FROM {own} m WHERE m.key = t.{key}"
        " AND (m.next_try IS NOT NULL OR m.claimant IS NOT NULL))"
        " LIMIT 1000 ON CONFLICT (key) DO UPDATE SET next_try = excluded.next_try"
        " WHERE o.next_try IS NULL AND o.claimant IS NULL",

    /* $1 the time that this gave the last time, or 0. The time now, in microseconds since the
     * epoch, and ms until something is due. What became due since the last time counts, for a claim
     * in between may have come too early for it. */
    [STATEMENT_NEXT] = "SELECT (extract(epoch FROM now()) * 1000000)::bigint, " MILLISECONDS(
        "least((SELECT min(next_try) FROM {own} WHERE claimant IS NULL AND next_try > s.since),"
        " (SELECT min(not_before) FROM {own} WHERE claimant IS NULL"
        " AND not_before > s.since)) - now()") " FROM (SELECT timestamptz 'epoch' + $1::bigint * "
                                               "interval '1 microsecond') s(since)",

    /* The time in ms since the epoch, and how many rows a run may find. */
    [STATEMENT_RUN] =
        "SELECT " MILLISECONDS("now()") ", (SELECT count(*) FROM {table} t WHERE " WAITING "),"
                                        " (SELECT count(*) FROM {table} t WHERE t.{status} = 'd')",

    /* $1 status, $2 ms that such rows stay. */
    [STATEMENT_SWEEP] =
        "WITH old AS (SELECT t.{key} AS key, m.id FROM {own} m JOIN {table} t ON t.{key} = m.key"
        " WHERE m.ended < now() - $2::bigint * interval '1 ms' AND t.{status} = $1"
        " ORDER BY m.ended LIMIT 500 FOR UPDATE OF t SKIP LOCKED),"
        " own AS (DELETE FROM {own} m USING old WHERE m.key = old.key),"
        " rows AS (DELETE FROM {table} t USING old WHERE t.{key} = old.key)"
        " SELECT id FROM old",

    /* Records whose row is gone, and times of tries that will not be. */
    [STATEMENT_SWEEP_ORPHANS] =
        "WITH late AS (UPDATE {own} m SET next_try = NULL FROM {table} t WHERE t.{key} = m.key"
        " AND m.claimant IS NULL AND m.next_try < now() AND t.{status} IS DISTINCT FROM 'd')"
        " DELETE FROM {own} m WHERE m.claimant IS NULL"
        " AND NOT EXISTS (SELECT FROM {table} t WHERE t.{key} = m.key)",

    [STATEMENT_COUNT_FEW] = "SELECT (SELECT count(*) FROM {table} t WHERE " WAITING "),"
                            " (SELECT count(*) FROM {table} t WHERE t.{status} = 'd'),"
                            " (SELECT count(*) FROM {table} t WHERE t.{status} = 'D')",

    [STATEMENT_COUNT_SENT] = "SELECT count(*) FROM {table} t WHERE t.{status} = 'S'",

    [STATEMENT_GUESS_ALL] = "SELECT greatest(reltuples, 0)::bigint FROM pg_catalog.pg_class"
                            " WHERE oid = to_regclass($1)",

    /* $1 states, $2 whether it goes on behind the key $3, $4 how many. */
    [STATEMENT_LIST] = "SELECT " COLUMNS(
        INLINE) ", coalesce(t.{status}::text, ''),"
                " coalesce(" MILLISECONDS(
                    "m.next_try") ", 0), coalesce(m.reason, ''),"
                                  " m.claimant IS NOT NULL"
                                  " FROM {table} t LEFT JOIN {own} m ON m.key = t.{key}"
                                  " WHERE coalesce(t.{status}::text, '') = ANY ($1::text[])"
                                  " AND {after} ORDER BY t.{key} LIMIT $4::bigint",
};

/* The steps of init: what for, and how. */
static const struct {
    const char *what;
    const char *text;
} STEPS[] = {
    {"smailer's table", "CREATE TABLE IF NOT EXISTS {own} (\n"
                        "    key        {type} PRIMARY KEY,\n"
                        "    claimant   text,                 -- the host that has it in hand\n"
                        "    attempts   integer NOT NULL DEFAULT 0,\n"
                        "    strikes    integer NOT NULL DEFAULT 0,\n"
                        "    seen       timestamptz NOT NULL DEFAULT now(),\n"
                        "    first_try  timestamptz,\n"
                        "    last_try   timestamptz,\n"
                        "    next_try   timestamptz,          -- of a deferred mail\n"
                        "    not_before timestamptz,          -- of one that waits\n"
                        "    ended      timestamptz,          -- when it was sent or dropped\n"
                        "    stage      text,\n"
                        "    code       integer,\n"
                        "    reason     text,                 -- the server's words\n"
                        "    id         text\n"
                        ")"},
    {"the table of hosts",
        "CREATE TABLE IF NOT EXISTS {hosts} (\n"
        "    id          text PRIMARY KEY,\n"
        "    session     text NOT NULL,\n"
        "    host        text NOT NULL,\n"
        "    lease_until timestamptz NOT NULL -- then others take what it has claimed\n"
        ")"},
    {"an index of smailer's table",
        "CREATE INDEX IF NOT EXISTS {index:_smailer_claims} ON {own} (claimant)\n"
        "    WHERE claimant IS NOT NULL"},
    {"an index of smailer's table",
        "CREATE INDEX IF NOT EXISTS {index:_smailer_next} ON {own} (next_try)\n"
        "    WHERE claimant IS NULL AND next_try IS NOT NULL"},
    {"an index of smailer's table",
        "CREATE INDEX IF NOT EXISTS {index:_smailer_before} ON {own} (not_before)\n"
        "    WHERE claimant IS NULL AND not_before IS NOT NULL"},
    {"an index of smailer's table",
        "CREATE INDEX IF NOT EXISTS {index:_smailer_ended} ON {own} (ended)\n"
        "    WHERE ended IS NOT NULL"},
    {"the index of the rows that wait",
        "CREATE INDEX IF NOT EXISTS {index:_smailer_wait} ON {table}\n"
        "    ((coalesce(left({sender}::text, 100), '') COLLATE \"C\"){time_column})\n"
        "    WHERE {status} IS NULL OR {status} = ''"},
    {"the index of the rows that were deferred or dropped",
        "CREATE INDEX IF NOT EXISTS {index:_smailer_failed} ON {table} ({key})\n"
        "    WHERE {status} IN ('d', 'D')"},
    {"the trigger's function",
        "CREATE OR REPLACE FUNCTION {index:_smailer_notify}() RETURNS trigger LANGUAGE plpgsql AS\n"
        "$$ BEGIN PERFORM pg_notify('{channel}', ''); RETURN NULL; END $$"},
    {"the trigger", "DROP TRIGGER IF EXISTS smailer_insert ON {table}"},
    {"the trigger", "CREATE TRIGGER smailer_insert AFTER INSERT ON {table}\n"
                    "    FOR EACH STATEMENT EXECUTE FUNCTION {index:_smailer_notify}()"},
    {"the trigger", "DROP TRIGGER IF EXISTS smailer_update ON {table}"},
    {"the trigger",
        "CREATE TRIGGER smailer_update AFTER UPDATE OF {status} ON {table} FOR EACH ROW\n"
        "    WHEN (coalesce(NEW.{status}, '') = '' AND coalesce(OLD.{status}, '') <> '')\n"
        "    EXECUTE FUNCTION {index:_smailer_notify}()"},
};

/* ---- templates ---- */

#define WORDS_MOST 24

struct word {
    const char *name;
    char *text;
};

struct words {
    struct word words[WORDS_MOST];
    size_t count;
    const struct table *table;
    char *schema;
};

char *
statement_quote(const char *name)
{
    char *quoted = memory_new(strlen(name) * 2 + 3, 1);
    char *at = quoted;

    *at++ = '"';
    for (; *name != '\0'; name++) {
        if (*name == '"')
            *at++ = '"';
        *at++ = *name;
    }
    *at++ = '"';
    *at = '\0';
    return quoted;
}

char *
statement_channel(const struct table *table)
{
    return memory_format("smailer %.54s", table->name);
}

/* A name of smailer's beside the table's; qualified where it is not an index's. */
static char *
own_name(const struct words *words, const char *suffix, bool qualified)
{
    char *name = memory_format("%s%s", words->table->name, suffix);
    char *quoted = statement_quote(name);
    char *whole = qualified ? memory_format("%s.%s", words->schema, quoted) : NULL;

    free(name);
    if (!qualified)
        return quoted;
    free(quoted);
    return whole;
}

static void
add_word(struct words *words, const char *name, char *text)
{
    words->words[words->count++] = (struct word){name, text};
}

/* Single quotes doubled: the channel's name stands in a function's body. */
static char *
escape_literal(char *text)
{
    char *escaped = memory_new(strlen(text) * 2 + 1, 1);
    char *at = escaped;

    for (const char *from = text; *from != '\0'; from++) {
        if (*from == '\'')
            *at++ = '\'';
        *at++ = *from;
    }
    free(text);
    return escaped;
}

static char *
time_text(enum table_time time, const char *column)
{
    switch (time) {
    case TABLE_TIME_STAMP:
        return memory_format("to_char(t.%s, 'DD.MM.YYYY HH24:MI:SS')", column);
    case TABLE_TIME_STAMP_ZONE:
        return memory_format("CASE WHEN isfinite(t.%s) THEN"
                             " '@' || floor(extract(epoch FROM t.%s))::text END",
            column, column);
    case TABLE_TIME_TEXT:
        break;
    }
    return memory_format("left(t.%s::text, 100)", column);
}

static void
make_words(struct words *words, const struct table *table, const struct queue_settings *settings)
{
    const bool sorted = table->time != TABLE_TIME_TEXT;
    char *time = statement_quote(settings->time);

    *words = (struct words){.table = table};
    words->schema = statement_quote(table->schema);
    add_word(words, "table", own_name(words, "", true));
    add_word(words, "own", own_name(words, "_smailer", true));
    add_word(words, "hosts", own_name(words, "_smailer_hosts", true));
    add_word(words, "key", statement_quote(table->key));
    add_word(words, "type", memory_copy_text(table->key_type));
    add_word(words, "sender", statement_quote(settings->sender));
    add_word(words, "address", statement_quote(settings->address));
    add_word(words, "topic", statement_quote(settings->topic));
    add_word(words, "content", statement_quote(settings->content));
    add_word(words, "status", statement_quote(settings->status));
    add_word(words, "channel", escape_literal(statement_channel(table)));
    add_word(words, "time_text", time_text(table->time, time));
    add_word(words, "time_order", sorted ? memory_format(", t.%s", time) : memory_copy_text(""));
    add_word(words, "time_column", sorted ? memory_format(", %s", time) : memory_copy_text(""));
    add_word(words, "after", memory_copy_text("(NOT $2::boolean OR t.{key} > $3::{type})"));
    free(time);
}

static void
free_words(struct words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->words[i].text);
    free(words->schema);
}

static void expand(FILE *stream, const struct words *words, const char *template);

static void
expand_word(FILE *stream, const struct words *words, const char *name, size_t length)
{
    static const char INDEX[] = "index:";

    for (size_t i = 0; i < words->count; i++) {
        const struct word *word = &words->words[i];

        if (strlen(word->name) != length || memcmp(word->name, name, length) != 0)
            continue;
        if (strcmp(word->name, "after") == 0)
            expand(stream, words, word->text);
        else
            fputs(word->text, stream);
        return;
    }
    if (length > sizeof(INDEX) && memcmp(name, INDEX, sizeof(INDEX) - 1) == 0) {
        char *suffix =
            memory_format("%.*s", (int)(length - sizeof(INDEX) + 1), name + sizeof(INDEX) - 1);
        char *own = own_name(words, suffix, strcmp(suffix, "_smailer_notify") == 0);

        fputs(own, stream);
        free(own);
        free(suffix);
        return;
    }
    fatal(EX_SOFTWARE, "a statement has {%.*s}", (int)length, name);
}

static void
expand(FILE *stream, const struct words *words, const char *template)
{
    while (*template != '\0') {
        size_t plain = strcspn(template, "{");

        fwrite(template, 1, plain, stream);
        template += plain;
        if (*template == '{') {
            size_t length = strcspn(template + 1, "}");

            expand_word(stream, words, template + 1, length);
            template += length + 2;
        }
    }
}

static char *
make(const char *template, const struct table *table, const struct queue_settings *settings)
{
    struct words words;
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    if (stream == NULL)
        fatal(EX_OSERR, "out of memory: a statement");
    make_words(&words, table, settings);
    expand(stream, &words, template);
    free_words(&words);
    if (fclose(stream) != 0)
        fatal(EX_OSERR, "out of memory: a statement");
    return text;
}

char *
statement_make(
    enum statement statement, const struct table *table, const struct queue_settings *settings)
{
    return make(TEMPLATES[statement], table, settings);
}

char *
statement_init(size_t step, const struct table *table, const struct queue_settings *settings,
    const char **what)
{
    if (step >= sizeof(STEPS) / sizeof(STEPS[0]))
        return NULL;
    *what = STEPS[step].what;
    return make(STEPS[step].text, table, settings);
}
