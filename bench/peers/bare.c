/* bare PORT FEED: the least that a server can do under this load. One thread, epoll, no token, no parsing of frames.

   An upgrade names the account by number (/ws/user7) and is answered with the same bytes whatever its key: the load has
   only one. Changes come to FEED as lines "NUMBER STATE"; each push is one write. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILES 65536
#define ACCOUNTS (1 << 20)
#define MANY 10000000 /* The number of the one account that has many connections. */
#define ACCEPTS 64

static int connection_of[ACCOUNTS], many[FILES], many_count;
static char subscribed[FILES];
static int epoll;

static const char switched[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n";

static void watch(int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) exit(1);
    watch(fd);
    return fd;
}

/* Accept some; the last of them. */
static int accept_from(int listener) {
    int last = -1, fd;
    for (int count = 0; count < ACCEPTS && (fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0; count++) watch(last = fd);
    return last;
}

/* What a client does not take is lost: this load takes everything. */
static void send_to(int fd, const char *data, size_t size) {
    if (write(fd, data, size) < 0) perror("write");
}

static void open_or_ignore(int fd) {
    char head[4097];
    ssize_t size = read(fd, head, sizeof head - 1);
    if (size <= 0) {
        subscribed[fd] = 0;
        close(fd);
        return;
    }
    if (subscribed[fd]) return;
    head[size] = 0;
    char *name = strstr(head, "/ws/user");
    long number = name ? atol(name + strlen("/ws/user")) : -1;
    if (number == MANY && many_count < FILES) many[many_count++] = fd;
    else if (number >= 0 && number < ACCOUNTS) connection_of[number] = fd;
    else return (void)close(fd);
    subscribed[fd] = 1;
    send_to(fd, switched, sizeof switched - 1);
}

static void push(long number, const char *state) {
    char frame[128];
    int size = snprintf(
        frame + 2, sizeof frame - 2,
        "{\"@type\":\"StateChange\",\"changed\":{\"user%ld@mail.example\":{\"Email\":\"%.16s\"}}}", number, state);
    frame[0] = (char)0x81;
    frame[1] = (char)size;
    if (number == MANY)
        for (int at = 0; at < many_count; at++) send_to(many[at], frame, size + 2);
    else if (number >= 0 && number < ACCOUNTS && connection_of[number]) send_to(connection_of[number], frame, size + 2);
}

/* Push what the feed tells; 0 at its end. */
static int read_feed(int fd) {
    static char lines[1 << 20];
    static size_t kept;
    ssize_t size = read(fd, lines + kept, sizeof lines - kept - 1);
    if (size <= 0) {
        kept = 0;
        return 0;
    }
    kept += size;
    char *at = lines, *end;
    while ((end = memchr(at, '\n', lines + kept - at))) {
        *end = 0;
        long number = strtol(at, &at, 10);
        push(number, at + 1);
        at = end + 1;
    }
    kept = lines + kept - at;
    memmove(lines, at, kept);
    return 1;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < FILES ? files.rlim_max : FILES;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(0);
    int clients = listen_on(atoi(arguments[1])), feeds = listen_on(atoi(arguments[2])), feed = -1;
    for (;;) {
        struct epoll_event ready[512];
        int waiting = epoll_wait(epoll, ready, 512, -1);
        for (int at = 0; at < waiting; at++) {
            int fd = ready[at].data.fd;
            if (fd == clients) accept_from(clients);
            else if (fd == feeds) feed = accept_from(feeds);
            else if (fd != feed) open_or_ignore(fd);
            else if (!read_feed(fd)) {
                close(fd);
                feed = -1;
            }
        }
    }
}
