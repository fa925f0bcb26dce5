#include <stdbool.h>
#include <string.h>

#include "cli/output.h"
#include "cli/table.h"
#include "lib/text.h"

#define CELL_SIZE 1100
#define WIDTH_MAX 60
#define GAP 2

static const char *
print_cell(char *target, size_t size, enum column_kind kind, const json_t *value)
{
    if (json_is_string(value))
        text_escape(target, size, json_string_value(value));
    else if (kind == COLUMN_AGE && json_is_number(value))
        output_age(target, size, (unsigned long long)(json_number_value(value) * 1000));
    else if (json_is_integer(value))
        text_format(target, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        text_format(target, size, "-");
    return target;
}

/* Columns that TEXT takes, where each character takes one. */
static size_t
measure(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static size_t
measure_column(const struct column *column, const json_t *rows)
{
    size_t width = measure(column->title);

    for (size_t i = 0; i < json_array_size(rows); i++) {
        char cell[CELL_SIZE];
        size_t needed = measure(print_cell(cell, sizeof(cell), column->kind,
            json_object_get(json_array_get(rows, i), column->key)));

        if (needed > width)
            width = needed;
    }
    return width > WIDTH_MAX ? WIDTH_MAX : width;
}

static void
put_blanks(FILE *file, size_t count)
{
    while (count-- > 0)
        fputc(' ', file);
}

/* CELL in WIDTH columns; the last one of a line is not filled up. */
static void
put_cell(FILE *file, const char *cell, size_t width, enum column_kind kind, bool is_last)
{
    size_t taken = measure(cell);
    size_t missing = taken < width ? width - taken : 0;

    if (kind != COLUMN_TEXT)
        put_blanks(file, missing);
    fputs(cell, file);
    if (kind == COLUMN_TEXT && !is_last)
        put_blanks(file, missing);
    if (!is_last)
        put_blanks(file, GAP);
}

/* The line of ROW, of the titles where that is NULL. */
static void
put_line(FILE *file, const struct column *columns, const size_t *widths, const json_t *row)
{
    for (const struct column *column = columns; column->key != NULL; column++) {
        char cell[CELL_SIZE];
        const char *text = column->title;

        if (row != NULL)
            text = print_cell(cell, sizeof(cell), column->kind, json_object_get(row, column->key));
        put_cell(file, text, widths[column - columns], column->kind, column[1].key == NULL);
    }
    fputc('\n', file);
}

void
table_print(FILE *file, const struct column *columns, const json_t *rows)
{
    size_t widths[TABLE_COLUMNS_MAX];

    for (size_t i = 0; i < TABLE_COLUMNS_MAX && columns[i].key != NULL; i++)
        widths[i] = measure_column(&columns[i], rows);
    put_line(file, columns, widths, NULL);
    for (size_t i = 0; i < json_array_size(rows); i++)
        put_line(file, columns, widths, json_array_get(rows, i));
}
