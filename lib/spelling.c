#include "lib/spelling.h"

#include <stdint.h>
#include <string.h>

#define NAME_MAX_LENGTH 63

static size_t
least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: row[i] holds the distances of A's first i letters to B's beginnings. */
size_t
spelling_distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_LENGTH + 1][NAME_MAX_LENGTH + 1];
    size_t a_length = strlen(a);
    size_t b_length = strlen(b);
    if (a_length > NAME_MAX_LENGTH || b_length > NAME_MAX_LENGTH)
        return SIZE_MAX;
    for (size_t i = 0; i <= a_length; i++) {
        for (size_t j = 0; j <= b_length; j++) {
            if (i == 0 || j == 0) {
                row[i][j] = i + j;
                continue;
            }
            size_t change = row[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            row[i][j] = least(change, least(row[i - 1][j], row[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[i][j] = least(row[i][j], row[i - 2][j - 2] + 1);
        }
    }
    return row[a_length][b_length];
}
