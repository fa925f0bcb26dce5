/*
 * usage: delay LISTEN-PORT PORT MILLISECONDS
 * A TCP relay on loopback that holds back what passes, each way, for half of MILLISECONDS: what a
 * long line does to a dialogue. Connecting takes no time. Ends with its standard input.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ENDS_MAX 1024
#define CHUNK_SIZE 16384

struct chunk {
    STAILQ_ENTRY(chunk) next;
    int64_t due; /* us */
    size_t size; /* 0: the end */
    size_t written;
    unsigned char octets[];
};

/* One end of a connection; what is read from it goes to its partner. */
struct end {
    int descriptor;
    bool closed; /* nothing more is read */
    struct end *partner;
    STAILQ_HEAD(, chunk) outgoing;
};

static struct end *ends[ENDS_MAX];
static size_t end_count;
static int64_t delay;

static int64_t
now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void
die(const char *what)
{
    perror(what);
    exit(1);
}

static struct sockaddr_in
address_of(const char *port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
        .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static struct end *
add_end(int descriptor)
{
    const int yes = 1;
    struct end *end = calloc(1, sizeof(*end));

    if (end == NULL || end_count == ENDS_MAX)
        die("another connection");
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    end->descriptor = descriptor;
    STAILQ_INIT(&end->outgoing);
    ends[end_count++] = end;
    return end;
}

static void
take_connection(int listener, const struct sockaddr_in *target)
{
    int taken = accept(listener, NULL, NULL);
    int other = socket(AF_INET, SOCK_STREAM, 0);
    struct end *one;
    struct end *two;

    if (taken < 0 || other < 0 ||
        connect(other, (const struct sockaddr *)target, sizeof(*target)) != 0)
        die("connect");
    one = add_end(taken);
    two = add_end(other);
    one->partner = two;
    two->partner = one;
}

static void
read_from(struct end *end)
{
    struct chunk *chunk = malloc(sizeof(*chunk) + CHUNK_SIZE);
    ssize_t size;

    if (chunk == NULL)
        die("malloc");
    size = read(end->descriptor, chunk->octets, CHUNK_SIZE);
    if (size < 0 && errno == EAGAIN) {
        free(chunk);
        return;
    }
    end->closed = size <= 0;
    chunk->size = size > 0 ? (size_t)size : 0;
    chunk->written = 0;
    chunk->due = now_us() + delay;
    STAILQ_INSERT_TAIL(&end->partner->outgoing, chunk, next);
}

/* Writes what is due. False where the rest has to wait for the socket. */
static bool
write_to(struct end *end, int64_t now)
{
    struct chunk *chunk;

    while ((chunk = STAILQ_FIRST(&end->outgoing)) != NULL && chunk->due <= now) {
        if (chunk->size == 0) {
            shutdown(end->descriptor, SHUT_WR);
        } else {
            ssize_t size = write(
                end->descriptor, chunk->octets + chunk->written, chunk->size - chunk->written);

            if (size < 0 && errno == EAGAIN)
                return false;
            if (size >= 0 && (chunk->written += (size_t)size) < chunk->size)
                return false;
        }
        STAILQ_REMOVE_HEAD(&end->outgoing, next);
        free(chunk);
    }
    return true;
}

static bool
is_over(const struct end *end)
{
    return end->closed && end->partner->closed && STAILQ_EMPTY(&end->outgoing) &&
           STAILQ_EMPTY(&end->partner->outgoing);
}

static void
remove_end(struct end *end)
{
    for (size_t i = 0; i < end_count; i++)
        if (ends[i] == end) {
            ends[i] = ends[--end_count];
            break;
        }
    close(end->descriptor);
    free(end);
}

static void
remove_finished(void)
{
    for (size_t i = 0; i < end_count;) {
        struct end *end = ends[i];
        struct end *partner = end->partner;

        if (!is_over(end)) {
            i++;
            continue;
        }
        remove_end(end);
        remove_end(partner);
        i = 0;
    }
}

/* Waits for something to read, or for the first chunk that is due. */
static void
wait_and_read(int listener, const struct sockaddr_in *target)
{
    struct pollfd polled[ENDS_MAX + 2] = {{STDIN_FILENO, POLLIN, 0}, {listener, POLLIN, 0}};
    int64_t now = now_us();
    int64_t due = INT64_MAX;
    size_t count = end_count;
    struct timespec limit;

    for (size_t i = 0; i < count; i++) {
        bool written = write_to(ends[i], now);
        const struct chunk *first = STAILQ_FIRST(&ends[i]->outgoing);

        if (written && first != NULL && first->due < due)
            due = first->due;
        polled[i + 2] = (struct pollfd){ends[i]->closed && written ? -1 : ends[i]->descriptor,
            (short)((ends[i]->closed ? 0 : POLLIN) | (written ? 0 : POLLOUT)), 0};
    }
    due -= now_us();
    due = due < 0 ? 0 : due;
    limit = (struct timespec){due / 1000000, due % 1000000 * 1000};
    if (ppoll(polled, count + 2, due > 3600000000 ? NULL : &limit, NULL) < 0)
        die("poll");
    for (size_t i = 0; i < count; i++)
        if ((polled[i + 2].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !ends[i]->closed)
            read_from(ends[i]);
    if (polled[1].revents != 0)
        take_connection(listener, target);
    if (polled[0].revents != 0)
        exit(0);
}

int
main(int argc, char **argv)
{
    const int yes = 1;
    struct sockaddr_in own;
    struct sockaddr_in target;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    if (argc != 4)
        return 64;
    own = address_of(argv[1]);
    target = address_of(argv[2]);
    delay = strtol(argv[3], NULL, 10) * 1000 / 2;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(listener, (const struct sockaddr *)&own, sizeof(own)) != 0 ||
        listen(listener, 512) != 0)
        die("listen");
    for (;;) {
        wait_and_read(listener, &target);
        remove_finished();
    }
}
