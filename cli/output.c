#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sysexits.h>

#include "cli/output.h"
#include "lib/text.h"

/* Octets of a text that are escaped at once. */
#define PART 256

bool
output_is_well(void)
{
    return ferror(stdout) == 0;
}

int
output_end(int status)
{
    errno = 0;
    if (fflush(stdout) == 0 && output_is_well())
        return status;
    return output_problem(EX_IOERR, "standard output could not be written%s%s",
        errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
}

/* How many of the LENGTH octets at TEXT make a part that ends between two characters. */
static size_t
measure_part(const char *text, size_t length)
{
    size_t end = 0;

    while (end < length && end < PART) {
        size_t count = text_character(text + end, length - end);

        end += count > 0 ? count : 1;
    }
    return end;
}

void
output_text(FILE *file, const char *text)
{
    char escaped[(PART + 4) * 4 + 1];
    size_t length = strlen(text);

    while (length > 0) {
        size_t part = measure_part(text, length);

        fputs(text_escape_bytes(escaped, sizeof(escaped), text, part), file);
        text += part;
        length -= part;
    }
}

int
output_problem(int status, const char *format, ...)
{
    char words[2200];
    va_list arguments;

    va_start(arguments, format);
    text_format_list(words, sizeof(words), format, arguments);
    va_end(arguments);
    fputs("smailer: ", stderr);
    output_text(stderr, words);
    fputc('\n', stderr);
    return status;
}

char *
output_time(char *target, size_t size, time_t time)
{
    struct tm local;
    char date[64] = "";
    char zone[16] = "";

    if (localtime_r(&time, &local) == NULL ||
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &local) == 0 ||
        strftime(zone, sizeof(zone), "%z", &local) != 5) {
        text_format(target, size, "%s", "1970-01-01T00:00:00+00:00");
        return target;
    }
    text_format(target, size, "%s%.3s:%.2s", date, zone, zone + 3);
    return target;
}

char *
output_age(char *target, size_t size, unsigned long long milliseconds)
{
    unsigned long long seconds = milliseconds / 1000;
    unsigned long long minutes = seconds / 60;
    unsigned long long hours = minutes / 60;

    if (minutes == 0)
        text_format(target, size, "%llus", seconds);
    else if (hours == 0)
        text_format(target, size, "%llum %llus", minutes, seconds % 60);
    else if (hours < 24)
        text_format(target, size, "%lluh %llum", hours, minutes % 60);
    else
        text_format(target, size, "%llud %lluh", hours / 24, hours % 24);
    return target;
}
