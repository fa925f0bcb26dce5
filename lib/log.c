#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/text.h"

#define LINE_SIZE 8192
#define HELD_SIZE 16384

/* What a process has of its log. */
static struct {
    const char *program;
    enum log_level level;
    enum log_target target;
    int descriptor;
    bool lost;
    pid_t pid; /* asking for it is a system call, and every line has it */
    char host[65];
} journal = {"smailer", LOG_LEVEL_INFO, LOG_TARGET_FILE, STDERR_FILENO, false, 0, ""};

/* Lines that wait for the end of the turn, and the thread that keeps its own there. */
static struct {
    size_t used;
    char octets[HELD_SIZE];
} held;
static _Thread_local bool holding;

static const struct {
    const char *word; /* stands before the text; events at info have none */
    int severity;
} LEVELS[] = {
    [LOG_LEVEL_ERROR] = {"error: ", LOG_ERR},
    [LOG_LEVEL_WARN] = {"warning: ", LOG_WARNING},
    [LOG_LEVEL_INFO] = {"", LOG_INFO},
    [LOG_LEVEL_DEBUG] = {"debug: ", LOG_DEBUG},
};

static void release(void);

static void
note_pid(void)
{
    journal.pid = getpid();
}

void
log_open(const char *program)
{
    if (journal.pid == 0 && pthread_atfork(release, NULL, note_pid) != 0)
        abort();
    note_pid();
    journal.program = program;
    if (gethostname(journal.host, sizeof(journal.host) - 1) != 0)
        journal.host[0] = '\0';
    journal.host[strcspn(journal.host, ".")] = '\0';
    if (journal.host[0] == '\0')
        memcpy(journal.host, "localhost", sizeof("localhost"));
}

void
log_set_level(enum log_level level)
{
    journal.level = level;
}

bool
log_is_at(enum log_level level)
{
    return level <= journal.level;
}

void
log_redirect(int descriptor, enum log_target target)
{
    release();
    /* The number stays and what is behind it changes, for another thread may be writing just now;
     * standard error keeps its own, and is never closed. */
    if (descriptor > STDERR_FILENO && journal.descriptor > STDERR_FILENO &&
        journal.descriptor != descriptor && dup3(descriptor, journal.descriptor, O_CLOEXEC) >= 0)
        close(descriptor);
    else
        journal.descriptor = descriptor;
    journal.target = target;
    journal.lost = false;
}

bool
log_lost(void)
{
    return journal.lost;
}

/* "2026-11-22T10:00:01.123+01:00" (RFC 3339). All but the milliseconds is made once a second. */
static void
format_now(char target[static 64])
{
    static _Thread_local time_t made_for;
    static _Thread_local char clock_part[24];
    static _Thread_local char zone[8];
    struct timespec now;
    struct tm parts;

    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != made_for) {
        localtime_r(&now.tv_sec, &parts);
        strftime(clock_part, sizeof(clock_part), "%Y-%m-%dT%H:%M:%S", &parts);
        strftime(zone, sizeof(zone), "%z", &parts);
        made_for = now.tv_sec;
    }
    text_format(
        target, 64, "%s.%03ld%.3s:%.2s", clock_part, now.tv_nsec / 1000000 % 1000, zone, zone + 3);
}

/* The line's head, as its target wants it: syslogd adds time and host itself. */
static int
format_head(char *line, size_t size, enum log_level level)
{
    char now[64];

    if (journal.pid == 0)
        note_pid();
    if (journal.target == LOG_TARGET_SYSLOG)
        return snprintf(line, size, "<%d>smailer/%s[%d]: %s", LOG_MAIL | LEVELS[level].severity,
            journal.program, (int)journal.pid, LEVELS[level].word);
    format_now(now);
    return snprintf(line, size, "%s %s smailer/%s[%d]: %s", now, journal.host, journal.program,
        (int)journal.pid, LEVELS[level].word);
}

/* One write, so that lines of several processes never mix. */
static void
write_lines(const char *lines, size_t length)
{
    ssize_t written;

    do {
        if (journal.target == LOG_TARGET_SYSLOG)
            written = send(journal.descriptor, lines, length, MSG_NOSIGNAL);
        else
            written = write(journal.descriptor, lines, length);
    } while (written < 0 && errno == EINTR);
    if (written < 0)
        journal.lost = true;
}

static void
release(void)
{
    if (!holding || held.used == 0)
        return;
    write_lines(held.octets, held.used);
    held.used = 0;
}

void
log_hold(void)
{
    holding = true;
}

void
log_release(void)
{
    release();
    holding = false;
}

/* Keeps the line, or writes it behind those that are kept. A datagram has but one. */
static void
put_line(enum log_level level, const char *line, size_t length)
{
    bool keep = holding && level == LOG_LEVEL_INFO && journal.target == LOG_TARGET_FILE;

    if (!keep || length > sizeof(held.octets) - held.used)
        release();
    if (!keep) {
        write_lines(line, length);
        return;
    }
    memcpy(held.octets + held.used, line, length);
    held.used += length;
}

static void
log_line(enum log_level level, const char *format, va_list arguments)
{
    char text[LINE_SIZE];
    char line[LINE_SIZE + 256];
    size_t length;
    int saved = errno;

    if (level > journal.level)
        return;
    text_format_list(text, sizeof(text), format, arguments);
    length = (size_t)format_head(line, sizeof(line), level);
    text_escape(line + length, sizeof(line) - length - 1, text);
    length += strlen(line + length);
    if (journal.target == LOG_TARGET_FILE)
        line[length++] = '\n';
    put_line(level, line, length);
    errno = saved;
}

#define LOG_AT(level, format)                                                                      \
    do {                                                                                           \
        va_list arguments;                                                                         \
        va_start(arguments, format);                                                               \
        log_line(level, format, arguments);                                                        \
        va_end(arguments);                                                                         \
    } while (0)

void
log_error(const char *format, ...)
{
    LOG_AT(LOG_LEVEL_ERROR, format);
}

void
log_warn(const char *format, ...)
{
    LOG_AT(LOG_LEVEL_WARN, format);
}

void
log_info(const char *format, ...)
{
    LOG_AT(LOG_LEVEL_INFO, format);
}

void
log_debug(const char *format, ...)
{
    LOG_AT(LOG_LEVEL_DEBUG, format);
}

void
fatal(int status, const char *format, ...)
{
    LOG_AT(LOG_LEVEL_ERROR, format);
    exit(status);
}
