/* A PAM module that writes the time, so that a benchmark knows when sudo reached its stack.
 * Nanoseconds of CLOCK_MONOTONIC go to the file that is its first argument. Never installed. */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <security/pam_modules.h>

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv) {
  struct timespec now;
  (void)pamh;
  (void)flags;
  clock_gettime(CLOCK_MONOTONIC, &now);
  int file = argc > 0 ? open(argv[0], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
  if (file >= 0) {
    dprintf(file, "%lld%09ld\n", (long long)now.tv_sec, now.tv_nsec);
    close(file);
  }
  return PAM_IGNORE;
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv) {
  (void)pamh;
  (void)flags;
  (void)argc;
  (void)argv;
  return PAM_IGNORE;
}
