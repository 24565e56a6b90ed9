/* Fault injection for the tests: LD_PRELOADed, it makes the n-th call of one function fail after
 * fault_arm() (memory: anybody's; the rest: those the module makes itself), and gives the account
 * `stepupd` the uid in SHIM_STEPUPD_UID. Never installed. */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);

static char armed[32];
static int calls_left;
static int is_hit;

void fault_arm(const char *function, int call);
int fault_was_hit(void);

void fault_arm(const char *function, int call) {
    strncpy(armed, function, sizeof armed - 1);
    calls_left = call;
    is_hit = 0;
}

int fault_was_hit(void) {
    return is_hit;
}

static int is_module(const void *address) {
    Dl_info info;
    return dladdr(address, &info) != 0 && strstr(info.dli_fname, "pam_stepup.so") != NULL;
}

static int fails_for(const void *caller, const char *function, int error) {
    if (calls_left == 0 || strcmp(armed, function) != 0 || (caller != NULL && !is_module(caller)) ||
        --calls_left > 0)
        return 0;
    is_hit = 1;
    errno = error;
    return 1;
}

#define fails(function, error) fails_for(__builtin_return_address(0), function, error)
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

void *malloc(size_t size) {
    return fails_for(NULL, "malloc", ENOMEM) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    return fails_for(NULL, "malloc", ENOMEM) ? NULL : __libc_calloc(count, size);
}

int socket(int domain, int type, int protocol) {
    return fails("socket", EMFILE) ? -1 : NEXT(socket)(domain, type, protocol);
}

int connect(int fd, const struct sockaddr *address, socklen_t size) {
    return fails("connect", ECONNREFUSED) ? -1 : NEXT(connect)(fd, address, size);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *size) {
    return fails("getsockopt", ENOPROTOOPT) ? -1 : NEXT(getsockopt)(fd, level, name, value, size);
}

int poll(struct pollfd *fds, nfds_t count, int timeout) {
    return fails("poll", ENOMEM) ? -1 : NEXT(poll)(fds, count, timeout);
}

ssize_t send(int fd, const void *bytes, size_t size, int flags) {
    return fails("send", EPIPE) ? -1 : NEXT(send)(fd, bytes, size, flags);
}

ssize_t recv(int fd, void *bytes, size_t size, int flags) {
    return fails("recv", ECONNRESET) ? -1 : NEXT(recv)(fd, bytes, size, flags);
}

/* What a checked build calls instead. */
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t space);
ssize_t __recv_chk(int fd, void *bytes, size_t size, size_t space, int flags);

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t space) {
    (void)space;
    return fails("poll", ENOMEM) ? -1 : NEXT(poll)(fds, count, timeout);
}

ssize_t __recv_chk(int fd, void *bytes, size_t size, size_t space, int flags) {
    (void)space;
    return fails("recv", ECONNRESET) ? -1 : NEXT(recv)(fd, bytes, size, flags);
}

int lstat(const char *path, struct stat *status) {
    return fails("lstat", EACCES) ? -1 : NEXT(lstat)(path, status);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    return fails("clock_gettime", EINVAL) ? -1 : NEXT(clock_gettime)(clock, now);
}

int getpwnam_r(const char *name, struct passwd *entry, char *space, size_t size,
               struct passwd **found) {
    const char *uid = getenv("SHIM_STEPUPD_UID");
    *found = NULL;
    if (fails("getpwnam_r", EIO))
        return EIO;
    if (strcmp(name, "stepupd") != 0)
        return NEXT(getpwnam_r)(name, entry, space, size, found);
    if (uid == NULL)
        return 0;
    memset(entry, 0, sizeof *entry);
    entry->pw_uid = (uid_t)strtoul(uid, NULL, 10);
    *found = entry;
    return 0;
}
