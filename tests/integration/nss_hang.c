/* A name service that hangs as long as a file is there, named by STEPUPD_TEST_HANG; else it knows
   nobody, and the next service is asked. */
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

enum nss_status _nss_hang_getpwuid_r(uid_t uid, struct passwd *found, char *buffer, size_t size,
                                     int *error);
enum nss_status _nss_hang_getpwnam_r(const char *name, struct passwd *found, char *buffer,
                                     size_t size, int *error);

static enum nss_status hang(int *error) {
    const char *path = getenv("STEPUPD_TEST_HANG");

    while (path != NULL && access(path, F_OK) == 0)
        usleep(20000);
    *error = ENOENT;
    return NSS_STATUS_NOTFOUND;
}

enum nss_status _nss_hang_getpwuid_r(uid_t uid, struct passwd *found, char *buffer, size_t size,
                                     int *error) {
    (void)uid, (void)found, (void)buffer, (void)size;
    return hang(error);
}

enum nss_status _nss_hang_getpwnam_r(const char *name, struct passwd *found, char *buffer,
                                     size_t size, int *error) {
    (void)name, (void)found, (void)buffer, (void)size;
    return hang(error);
}
