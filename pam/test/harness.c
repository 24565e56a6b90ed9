/* A program that authenticates through libpam and prints what happened; never installed.
 *
 * Its parameters come from the environment, so that argv can look like any command:
 *   HARNESS_CONFDIR   directory of the service files
 *   HARNESS_SERVICE   service name            HARNESS_USER   PAM_USER
 *   HARNESS_RUSER, HARNESS_TTY, HARNESS_RHOST                the items, if set
 *   HARNESS_PUTENV    NAME=VALUE for the PAM environment, if set
 *   HARNESS_CONV      answer (default) | error | again | null-array | null-text | long | most |
 *                     huge | chatty | dangling | none | scan
 *   HARNESS_ANSWER    what is "typed"
 *   HARNESS_STEPS     words out of: authenticate setcred acct user:NAME block-sigint
 *   HARNESS_MODE      steps (default) | threads | faults
 * Output: `message STYLE TEXT-IN-HEX`, `NAME CODE` for each step.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value != NULL ? value : otherwise;
}

static char *repeat(char letter, size_t size) {
    char *text = malloc(size + 1);
    memset(text, letter, size);
    text[size] = '\0';
    return text;
}

/* The scan's marker exists in clear only in the answer itself, well behind the bytes that free()
 * overwrites by itself. */
static const unsigned char masked_marker[] = {0x17, 0x2b, 0x36, 0x3c, 0x33, 0x34, 0x7d,
                                              0x6b, 0x62, 0x69, 0x6a, 0x7d, 0x2a, 0x33};
enum { MASK = 0x5a, MARKER_SIZE = sizeof masked_marker, MARKER_AT = 64 };

static char *unmasked_marker(void) {
    char *text = repeat('7', MARKER_AT + MARKER_SIZE);
    for (size_t i = 0; i < MARKER_SIZE; i++)
        text[MARKER_AT + i] = (char)(masked_marker[i] ^ MASK);
    return text;
}

static char *make_answer(const char *manner) {
    if (strcmp(manner, "scan") == 0)
        return unmasked_marker();
    if (strcmp(manner, "most") == 0)
        return repeat('7', 4096);
    if (strcmp(manner, "long") == 0)
        return repeat('7', 4097);
    if (strcmp(manner, "huge") == 0)
        return repeat('7', 10000000);
    if (strcmp(manner, "null-text") == 0)
        return NULL;
    return strdup(setting("HARNESS_ANSWER", "123456"));
}

static void print_message(const struct pam_message *message) {
    printf("message %d ", message->msg_style);
    for (const char *at = message->msg; *at != '\0'; at++)
        printf("%02x", (unsigned char)*at);
    printf("\n");
    fflush(stdout);
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses,
                    void *data) {
    const char *manner = data;
    int style = messages[0]->msg_style;
    int is_question = style == PAM_PROMPT_ECHO_OFF || style == PAM_PROMPT_ECHO_ON;
    if (strcmp(manner, "quiet") != 0)
        print_message(messages[0]);
    if (strcmp(manner, "dangling") == 0) {
        *responses = (struct pam_response *)0x10;
        return PAM_CONV_ERR;
    }
    if (count != 1 || strcmp(manner, "error") == 0)
        return PAM_CONV_ERR;
    if (strcmp(manner, "again") == 0)
        return PAM_CONV_AGAIN;
    if (strcmp(manner, "null-array") == 0 || (!is_question && strcmp(manner, "chatty") != 0))
        return PAM_SUCCESS;
    *responses = calloc(1, sizeof **responses);
    if (*responses != NULL)
        (*responses)->resp = make_answer(manner);
    return PAM_SUCCESS;
}

static void set_item(pam_handle_t *pamh, int item, const char *name) {
    if (getenv(name) != NULL && pam_set_item(pamh, item, getenv(name)) != PAM_SUCCESS)
        exit(90);
}

static pam_handle_t *start(const char *service, const char *user, const char *manner) {
    const struct pam_conv conversation = {strcmp(manner, "none") == 0 ? NULL : converse,
                                          (void *)(uintptr_t)manner};
    pam_handle_t *pamh = NULL;
    if (pam_start_confdir(service, user, &conversation, setting("HARNESS_CONFDIR", "/nowhere"),
                          &pamh) != PAM_SUCCESS)
        exit(91);
    set_item(pamh, PAM_RUSER, "HARNESS_RUSER");
    set_item(pamh, PAM_TTY, "HARNESS_TTY");
    set_item(pamh, PAM_RHOST, "HARNESS_RHOST");
    if (getenv("HARNESS_PUTENV") != NULL && pam_putenv(pamh, getenv("HARNESS_PUTENV")) != 0)
        exit(94);
    return pamh;
}

static void block_sigint(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static int take_step(pam_handle_t *pamh, const char *step) {
    if (strcmp(step, "authenticate") == 0)
        return pam_authenticate(pamh, PAM_SILENT);
    if (strcmp(step, "setcred") == 0)
        return pam_setcred(pamh, PAM_ESTABLISH_CRED);
    if (strcmp(step, "acct") == 0)
        return pam_acct_mgmt(pamh, 0);
    if (strncmp(step, "user:", 5) == 0)
        return pam_set_item(pamh, PAM_USER, step + 5);
    if (strcmp(step, "block-sigint") == 0)
        return block_sigint(), 0;
    exit(92);
}

/* Occurrences of the marker in our writable memory. */
static int scan_memory(void) {
    char line[512];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long low, high;
        char mode[5];
        if (sscanf(line, "%lx-%lx %4s", &low, &high, mode) != 3 || strncmp(mode, "rw", 2) != 0)
            continue;
        for (const unsigned char *at = (const unsigned char *)low;
             at + MARKER_SIZE <= (const unsigned char *)high; at++) {
            size_t i = 0;
            while (i < MARKER_SIZE && at[i] == (masked_marker[i] ^ MASK))
                i++;
            found += i == MARKER_SIZE;
        }
    }
    if (maps != NULL)
        fclose(maps);
    return found;
}

static int run_steps(void) {
    const char *manner = setting("HARNESS_CONV", "answer");
    char *steps = strdup(setting("HARNESS_STEPS", "authenticate"));
    char *rest = NULL;
    int status = 0;
    pam_handle_t *pamh =
        start(setting("HARNESS_SERVICE", "stepup"), setting("HARNESS_USER", "ada"), manner);
    for (char *step = strtok_r(steps, " ", &rest); step; step = strtok_r(NULL, " ", &rest)) {
        status = take_step(pamh, step);
        printf("%s %d\n", step, status);
        fflush(stdout);
    }
    if (strcmp(manner, "scan") == 0) {
        printf("scan %d\n", scan_memory());
        char *control = unmasked_marker();
        printf("control %d\n", scan_memory());
        free(control);
    }
    pam_end(pamh, status);
    free(steps);
    return 0;
}

/* Each thread is a user of its own; the daemon allows those with an even number. */
static void *run_thread(void *data) {
    char user[16];
    long number = (long)data;
    snprintf(user, sizeof user, "user%ld", number);
    pam_handle_t *pamh = start(setting("HARNESS_SERVICE", "stepup"), user, "quiet");
    long status = pam_authenticate(pamh, 0);
    pam_end(pamh, (int)status);
    return (void *)status;
}

static int run_threads(void) {
    enum { THREADS = 64 };
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, run_thread, (void *)i);
    for (int i = 0; i < THREADS; i++) {
        void *status;
        pthread_join(threads[i], &status);
        printf("user%d %ld\n", i, (long)status);
    }
    return 0;
}

/* One process per fault; prints FUNCTION CALL SERVICE HIT RESULT, a crash as -SIGNAL. */
static void run_fault(const char *function, int call, const char *service) {
    void (*arm)(const char *, int) = (void (*)(const char *, int))dlsym(RTLD_DEFAULT, "fault_arm");
    int (*was_hit)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "fault_was_hit");
    int how = 0, report[2], result[2] = {0, 0};
    if (arm == NULL || was_hit == NULL || pipe(report) != 0)
        exit(93);
    pid_t child = fork();
    if (child == 0) {
        pam_handle_t *pamh = start(service, "ada", "quiet");
        arm(function, call);
        result[1] = pam_authenticate(pamh, 0);
        result[0] = was_hit();
        arm("", 0);
        _exit(write(report[1], result, sizeof result) != sizeof result);
    }
    close(report[1]);
    waitpid(child, &how, 0);
    if (read(report[0], result, sizeof result) != sizeof result)
        result[1] = WIFSIGNALED(how) ? -WTERMSIG(how) : -99;
    close(report[0]);
    printf("%s %d %s %d %d\n", function, call, service, result[0], result[1]);
}

static int run_faults(void) {
    const char *functions[] = {"malloc", "socket", "connect",    "getsockopt",    "poll",
                               "send",   "recv",   "getpwnam_r", "clock_gettime", "lstat"};
    const char *services[] = {"required", "requisite", "sufficient", "jump"};
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++)
        for (size_t s = 0; s < sizeof services / sizeof *services; s++)
            for (int call = 1; call <= 60; call++)
                run_fault(functions[f], call, services[s]);
    return 0;
}

int main(void) {
    const char *mode = setting("HARNESS_MODE", "steps");
    if (strcmp(mode, "threads") == 0)
        return run_threads();
    if (strcmp(mode, "faults") == 0)
        return run_faults();
    return run_steps();
}
