/* Law: we talk only to root or to the account `stepupd`, over a socket that nobody else can have
 * put there, and never past the deadline. Checked in this order: (1) the directory's owner and
 * mode, (2) the socket's owner, (3) the peer, by what the kernel says. Signals are looked at,
 * never caught, blocked or taken. */
#include "stepup.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    CROWDED_MS = 1000, /* how long a full accept queue is waited for */
    RETRY_MS = 20,
    GLANCE_MS = 100, /* how soon a blocked Ctrl-C is noticed */
};

/* A broken clock is past every deadline. */
static int64_t now_ms(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return INT64_MAX;
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Without the account, or without an answer, only root is trusted. */
static bool is_trusted(uid_t uid) {
    struct passwd entry, *found = NULL;
    char space[4096];
    if (uid == 0)
        return true;
    if (getpwnam_r("stepupd", &entry, space, sizeof space, &found) != 0 || found == NULL)
        return false;
    return uid == found->pw_uid;
}

static bool is_path_trusted(const char *path, size_t size) {
    char parent[sizeof((struct sockaddr_un *)0)->sun_path];
    struct stat status;
    const char *slash = strrchr(path, '/');
    if (slash == NULL || size >= sizeof parent)
        return false;
    size_t length = slash == path ? 1 : (size_t)(slash - path);
    memcpy(parent, path, length);
    parent[length] = '\0';
    if (lstat(parent, &status) != 0 || !S_ISDIR(status.st_mode) || !is_trusted(status.st_uid) ||
        (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return false;
    return lstat(path, &status) == 0 && S_ISSOCK(status.st_mode) && is_trusted(status.st_uid);
}

static bool is_peer_trusted(int fd) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && size == sizeof peer &&
           is_trusted(peer.uid);
}

/* A Unix socket connects at once or says EAGAIN: its queue is full, and poll(2) cannot wait. */
static bool connect_to(int fd, const struct sockaddr_un *address, int64_t deadline_ms) {
    while (connect(fd, (const struct sockaddr *)address, sizeof *address) != 0) {
        if (errno == EISCONN)
            return true;
        if ((errno != EAGAIN && errno != EINTR) || now_ms() >= deadline_ms)
            return false;
        poll(NULL, 0, RETRY_MS);
    }
    return true;
}

bool link_open(struct link *link, const struct options *options) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strnlen(options->socket_path, sizeof address.sun_path);
    if (!is_path_trusted(options->socket_path, size)) /* (1), (2) */
        return false;
    memcpy(address.sun_path, options->socket_path, size + 1);
    int64_t start_ms = now_ms();
    if (start_ms == INT64_MAX)
        return false;
    link->deadline_ms = start_ms + options->timeout_s * 1000;
    link->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (link->fd < 0)
        return false;
    if (connect_to(link->fd, &address, start_ms + CROWDED_MS) &&
        is_peer_trusted(link->fd)) /* (3) */
        return true;
    link_close(link);
    return false;
}

void link_close(struct link *link) {
    close(link->fd);
    link->fd = -1;
}

/* sudo blocks SIGINT and SIGQUIT while PAM runs and looks for them afterwards, as here: what
 * is pending stays pending for the program, we only stop in time for it to see. */
bool is_interrupted(void) {
    sigset_t pending;
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGQUIT) == 1);
}

static bool wait_for(const struct link *link, short events) {
    while (!is_interrupted()) {
        struct pollfd waiting = {.fd = link->fd, .events = events};
        int64_t left_ms = link->deadline_ms - now_ms();
        if (left_ms <= 0)
            return false;
        int ready = poll(&waiting, 1, left_ms < GLANCE_MS ? (int)left_ms : GLANCE_MS);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return false;
    }
    return false;
}

static bool send_all(const struct link *link, const char *bytes, size_t size) {
    while (size > 0) {
        if (!wait_for(link, POLLOUT))
            return false;
        ssize_t sent = send(link->fd, bytes, size, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            size -= (size_t)sent;
        } else if (sent == 0 || (errno != EAGAIN && errno != EINTR)) {
            return false;
        }
    }
    return true;
}

static bool receive_all(const struct link *link, char *bytes, size_t size) {
    while (size > 0) {
        if (!wait_for(link, POLLIN))
            return false;
        ssize_t got = recv(link->fd, bytes, size, 0);
        if (got > 0) {
            bytes += got;
            size -= (size_t)got;
        } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            return false;
        }
    }
    return true;
}

bool link_send(const struct link *link, enum kind kind, const char *payload, size_t size) {
    if (size > PAYLOAD_MAX)
        return false;
    uint32_t length = (uint32_t)size + 1;
    const unsigned char head[FRAME_HEAD] = {
        (unsigned char)(length >> 24), (unsigned char)(length >> 16), (unsigned char)(length >> 8),
        (unsigned char)length,         (unsigned char)kind,
    };
    return send_all(link, (const char *)head, sizeof head) && send_all(link, payload, size);
}

void link_end_sending(const struct link *link) {
    shutdown(link->fd, SHUT_WR);
}

bool link_receive(const struct link *link, struct frame *frame) {
    unsigned char head[FRAME_HEAD];
    if (!receive_all(link, (char *)head, sizeof head))
        return false;
    uint32_t length = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 |
                      (uint32_t)head[3];
    if (length < 1 || length > FRAME_MAX)
        return false;
    frame->kind = head[4];
    frame->size = length - 1;
    frame->payload[frame->size] = '\0';
    return receive_all(link, frame->payload, frame->size);
}
