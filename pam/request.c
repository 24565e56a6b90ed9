/* Law: the request says what PAM and the kernel say, whole or not at all: a value over its limit
 * is a refusal, never a shorter value. Only the command, a claim for the person to read, may be
 * cut, only what sshd says of keys left out, and both say so. Nothing here is evidence of who asks:
 * the daemon asks the kernel. */
#include "stepup.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool put_bytes(struct frame *request, const char *key, const char *value, size_t size) {
    size_t key_size = strlen(key);
    size_t separator = request->size > 0 ? 1 : 0;
    if (separator + key_size + 1 + size > PAYLOAD_MAX - request->size)
        return false;
    char *end = request->payload + request->size;
    if (separator)
        *end++ = '\0';
    memcpy(end, key, key_size);
    end[key_size] = '=';
    memcpy(end + key_size + 1, value, size);
    request->size += separator + key_size + 1 + size;
    return true;
}

static bool put_text(struct frame *request, const char *key, const char *value) {
    size_t size = strnlen(value, VALUE_MAX + 1);
    return size <= VALUE_MAX && put_bytes(request, key, value, size);
}

/* Without the item there is no pair. */
static bool put_item(pam_handle_t *pamh, struct frame *request, const char *key, int item) {
    const void *value = NULL;
    if (pam_get_item(pamh, item, &value) != PAM_SUCCESS)
        return false;
    const char *text = value;
    return text == NULL || *text == '\0' || put_text(request, key, text);
}

static bool is_control(char character) {
    unsigned char byte = (unsigned char)character;
    return byte < 0x20 || byte == 0x7f;
}

static bool put_subject(pam_handle_t *pamh, struct frame *request) {
    const char *user = NULL;
    if (pam_get_user(pamh, &user, NULL) != PAM_SUCCESS || user == NULL || *user == '\0')
        return false;
    for (const char *at = user; *at != '\0'; at++)
        if (is_control(*at))
            return false;
    return put_text(request, "subject", user);
}

/* The bytes read, at most `size`; 0 when there is nothing to read. */
static size_t read_file(const char *path, char *bytes, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return 0;
    size_t have = 0;
    while (have < size) {
        ssize_t got = read(fd, bytes + have, size - have);
        if (got <= 0)
            break;
        have += (size_t)got;
    }
    close(fd);
    return have;
}

/* Field 22 of proc_pid_stat(5). Field 2 is the program's name and may hold anything, spaces and
 * brackets too, so that counting starts after the last ')'. */
static const char *find_start_time(char *stat) {
    char *at = strrchr(stat, ')');
    if (at == NULL)
        return NULL;
    for (int field = 2; field < 22; field++) {
        at = strchr(at + 1, ' ');
        if (at == NULL)
            return NULL;
    }
    at[1 + strspn(at + 1, "0123456789")] = '\0';
    return at[1] == '\0' ? NULL : at + 1;
}

/* The leader and when it started, or neither. */
static bool put_leader(struct frame *request) {
    char path[64], leader[24], stat[1024];
    pid_t session = getsid(0);
    if (session <= 0)
        return true;
    snprintf(leader, sizeof leader, "%ld", (long)session);
    snprintf(path, sizeof path, "/proc/%s/stat", leader);
    stat[read_file(path, stat, sizeof stat - 1)] = '\0';
    const char *start = find_start_time(stat);
    return start == NULL ||
           (put_text(request, "leader", leader) && put_text(request, "leader_start", start));
}

static bool put_command(struct frame *request) {
    char command[COMMAND_MAX + 1];
    size_t size = read_file("/proc/self/cmdline", command, sizeof command);
    if (size > 0 && command[size - 1] == '\0')
        size--;
    if (size == 0)
        return true;
    bool is_cut = size > COMMAND_MAX;
    if (is_cut)
        size = COMMAND_MAX;
    for (size_t i = 0; i < size; i++)
        if (command[i] == '\0')
            command[i] = 0x1f;
    return put_bytes(request, "command", command, size) &&
           (!is_cut || put_text(request, "command_cut", "1"));
}

/* What sshd tells its own stack of the methods that succeeded so far. It is long with a large
 * certificate: that is said, so that it does not look like a login without a key. */
static bool put_ssh_auth(pam_handle_t *pamh, struct frame *request) {
    const char *value = pam_getenv(pamh, "SSH_AUTH_INFO_0");
    if (value == NULL || *value == '\0')
        return true;
    size_t size = strnlen(value, SSH_AUTH_MAX + 1);
    if (size > SSH_AUTH_MAX)
        return put_text(request, "ssh_auth_long", "1");
    return put_bytes(request, "ssh_auth", value, size);
}

bool request_write(pam_handle_t *pamh, struct frame *request) {
    request->kind = KIND_REQUEST;
    request->size = 0;
    return put_text(request, "version", "1") && put_item(pamh, request, "service", PAM_SERVICE) &&
           put_subject(pamh, request) && put_item(pamh, request, "ruser", PAM_RUSER) &&
           put_item(pamh, request, "tty", PAM_TTY) && put_item(pamh, request, "rhost", PAM_RHOST) &&
           put_leader(request) && put_command(request) && put_ssh_auth(pamh, request);
}
