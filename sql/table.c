#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "sql/statement.h"
#include "sql/table.h"

/* The longest ending that smailer's names have beside the table's, and what names may have. */
#define SUFFIX_LENGTH 18
#define NAME_MOST 63

/* A row for each column, and for each key that it leads. */
const char TABLE_QUESTION[] =
    "SELECT n.nspname, c.relname, a.attname, t.typname,"
    " pg_catalog.format_type(a.atttypid, a.atttypmod),"
    " coalesce(i.indisprimary, false), coalesce(i.indnkeyatts, 0),"
    " a.attnotnull,"
    " to_regclass(quote_ident(n.nspname) || '.' || quote_ident(c.relname || '_smailer')) IS NOT "
    "NULL"
    " AND to_regclass(quote_ident(n.nspname) || '.' || quote_ident(c.relname || '_smailer_hosts'))"
    " IS NOT NULL"
    " FROM pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
    " LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indkey[0] = a.attnum"
    " AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL"
    " WHERE c.oid = to_regclass($1)"
    " ORDER BY 6 DESC, 7";

enum column { SCHEMA, NAME, COLUMN, TYPE, TYPE_NAME, PRIMARY, KEY_COLUMNS, NOT_NULL, READY };

char *
table_quote_name(const struct queue_settings *settings)
{
    const char *dot = strchr(settings->table, '.');
    char *schema;
    char *quoted_schema;
    char *quoted_name;
    char *whole;

    if (dot == NULL)
        return statement_quote(settings->table);
    schema = memory_copy_text(settings->table);
    schema[dot - settings->table] = '\0';
    quoted_schema = statement_quote(schema);
    quoted_name = statement_quote(dot + 1);
    whole = memory_format("%s.%s", quoted_schema, quoted_name);
    free(schema);
    free(quoted_schema);
    free(quoted_name);
    return whole;
}

static bool
is_true(const PGresult *answer, int row, enum column column)
{
    return strcmp(PQgetvalue(answer, row, (int)column), "t") == 0;
}

/* The row that describes the column NAME, or -1. */
static int
find_column(const PGresult *answer, const char *name)
{
    for (int i = 0; i < PQntuples(answer); i++) {
        if (strcmp(PQgetvalue(answer, i, COLUMN), name) == 0)
            return i;
    }
    return -1;
}

static bool
check_columns(const PGresult *answer, const struct queue_settings *settings, struct error *error)
{
    const char *const names[] = {settings->time, settings->sender, settings->address,
        settings->topic, settings->content, settings->status};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (find_column(answer, names[i]) < 0)
            return error_set(error, "the table %s has no column %s", settings->table, names[i]);
    }
    return true;
}

/* The row that describes the key, or -1. */
static int
find_key(const PGresult *answer, const struct queue_settings *settings, struct error *error)
{
    bool named = settings->key[0] != '\0';

    for (int i = 0; i < PQntuples(answer); i++) {
        const char *columns = PQgetvalue(answer, i, KEY_COLUMNS);

        if (named ? strcmp(PQgetvalue(answer, i, COLUMN), settings->key) == 0 &&
                        strcmp(columns, "1") == 0 && is_true(answer, i, NOT_NULL)
                  : is_true(answer, i, PRIMARY) && strcmp(columns, "1") == 0)
            return i;
        if (!named && is_true(answer, i, PRIMARY)) {
            error_set(error,
                "the primary key of %s has %s columns: a key of one column is needed, key = names "
                "another that is unique and not null",
                settings->table, columns);
            return -1;
        }
    }
    if (named)
        error_set(error, "the column %s of %s is not unique and not null by itself", settings->key,
            settings->table);
    else
        error_set(error, "the table %s has no primary key, by which its rows could be told apart",
            settings->table);
    return -1;
}

static enum table_time
find_time(const PGresult *answer, const char *name)
{
    const char *type = PQgetvalue(answer, find_column(answer, name), TYPE);

    if (strcmp(type, "timestamptz") == 0)
        return TABLE_TIME_STAMP_ZONE;
    return strcmp(type, "timestamp") == 0 ? TABLE_TIME_STAMP : TABLE_TIME_TEXT;
}

struct table *
table_read(const PGresult *answer, const struct queue_settings *settings, struct error *error)
{
    struct table *table;
    int key;

    if (PQntuples(answer) == 0) {
        error_set(error, "there is no table %s", settings->table);
        return NULL;
    }
    key = find_key(answer, settings, error);
    if (key < 0 || !check_columns(answer, settings, error))
        return NULL;
    if (strlen(PQgetvalue(answer, 0, NAME)) > NAME_MOST - SUFFIX_LENGTH) {
        error_set(error, "the name of the table %s has more than %d octets", settings->table,
            NAME_MOST - SUFFIX_LENGTH);
        return NULL;
    }
    table = memory_new(1, sizeof(*table));
    table->schema = memory_copy_text(PQgetvalue(answer, 0, SCHEMA));
    table->name = memory_copy_text(PQgetvalue(answer, 0, NAME));
    table->key = memory_copy_text(PQgetvalue(answer, key, COLUMN));
    table->key_type = memory_copy_text(PQgetvalue(answer, key, TYPE_NAME));
    table->time = find_time(answer, settings->time);
    table->is_ready = is_true(answer, 0, READY);
    return table;
}

void
table_free(struct table *table)
{
    if (table == NULL)
        return;
    free(table->schema);
    free(table->name);
    free(table->key);
    free(table->key_type);
    free(table);
}
