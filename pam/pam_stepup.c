/* Law: two entry points, nothing else. An option that is not understood refuses: an administrator
 * who wrote a line that means nothing must hear of it before an attacker does. There is no account,
 * session or password service here, and no option that turns a failure into a success. */
#include "stepup.h"

#include <security/pam_ext.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#define EXPORTED __attribute__((visibility("default")))

static const char MARK[] = "stepup_authenticated";

static bool parse_timeout(const char *text, int *seconds) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 3 || text[digits] != '\0')
        return false;
    *seconds = (int)strtol(text, NULL, 10);
    return *seconds >= 1 && *seconds <= 300;
}

static bool parse_option(const char *text, struct options *options) {
    if (strncmp(text, "socket=", 7) == 0) {
        options->socket_path = text + 7;
        return text[7] == '/';
    }
    if (strncmp(text, "timeout=", 8) == 0)
        return parse_timeout(text + 8, &options->timeout_s);
    if (strcmp(text, "debug") == 0) {
        options->debug = true;
        return true;
    }
    return false;
}

static int refuse(pam_handle_t *pamh, const char *why) {
    pam_syslog(pamh, LOG_ERR, "%s", why);
    say(pamh, PAM_ERROR_MSG, "Step-up authentication is not available.");
    return PAM_AUTHINFO_UNAVAIL;
}

static int authenticate(pam_handle_t *pamh, const struct options *options) {
    struct frame request;
    struct link link;
    if (!request_write(pamh, &request))
        return refuse(pamh, "the request has a value that cannot be passed on");
    if (!link_open(&link, options))
        return refuse(pamh, "no trusted stepupd at the socket");
    int status = relay(pamh, &link, &request, options->debug);
    link_close(&link);
    return status;
}

/* PAM_SUCCESS is remembered in the handle, for pam_sm_setcred; any earlier one is forgotten. */
EXPORTED int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv) {
    struct options options = {.socket_path = "/run/stepupd/pam.sock", .timeout_s = 60};
    (void)flags;
    if (pam_set_data(pamh, MARK, NULL, NULL) != PAM_SUCCESS)
        return refuse(pamh, "the handle takes no data");
    for (int i = 0; i < argc; i++) {
        if (!parse_option(argv[i], &options)) {
            pam_syslog(pamh, LOG_ERR, "option not understood: \"%s\"", argv[i]);
            return refuse(pamh, "refused: see the options in pam_stepup(8)");
        }
    }
    int status = authenticate(pamh, &options);
    if (status == PAM_SUCCESS &&
        pam_set_data(pamh, MARK, (void *)(uintptr_t)MARK, NULL) != PAM_SUCCESS)
        return refuse(pamh, "the handle takes no data");
    return status;
}

/*
 * There are no credentials to set. Success says that this handle authenticated here, failure that
 * it tried to. Where it was not asked at all the answer is nothing (PAM_IGNORE): sshd authenticates
 * in a child and calls this in the parent, which would otherwise throw out whoever was let in.
 */
EXPORTED int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv) {
    const void *mark = NULL;
    (void)flags;
    (void)argc;
    (void)argv;
    if (pam_get_data(pamh, MARK, &mark) != PAM_SUCCESS)
        return PAM_IGNORE;
    return mark == MARK ? PAM_SUCCESS : PAM_CRED_UNAVAIL;
}
