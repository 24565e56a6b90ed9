/* pam_stepup: a relay between a PAM conversation and stepupd; see pam_stepup(8).
 *
 * Law: bytes go in, text goes out, one byte decides. No policy, no cryptography, no device, no
 * configuration file, no environment of the process, no thread, no state that outlives the call.
 * Whatever is not expected ends in PAM_AUTHINFO_UNAVAIL (the daemon's side failed) or PAM_AUTH_ERR
 * (the person's side ended it); PAM_IGNORE is never returned and PAM_SUCCESS only after the verdict
 * 'A'.
 */
#ifndef STEPUP_H
#define STEPUP_H

#include <security/pam_modules.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FRAME_MAX = 8192, /* kind and payload */
    FRAME_HEAD = 5,   /* u32 length, u8 kind */
    PAYLOAD_MAX = FRAME_MAX - 1,
    ANSWER_MAX = 4096, /* bytes a person may type */
    VALUE_MAX = 256,   /* bytes of one request value, but for the command */
    COMMAND_MAX = 2048,
    SSH_AUTH_MAX = 4096,
};

enum kind {
    KIND_REQUEST = 0x01,
    KIND_ANSWER = 0x02,
    KIND_INFO = 0x11,
    KIND_ERROR = 0x12,
    KIND_ASK_HIDDEN = 0x13,
    KIND_ASK_VISIBLE = 0x14,
    KIND_VERDICT = 0x20,
};

struct options {
    const char *socket_path;
    int timeout_s;
    bool debug;
};

struct link {
    int fd;
    int64_t deadline_ms; /* CLOCK_MONOTONIC */
};

struct frame {
    enum kind kind;
    size_t size;
    char payload[PAYLOAD_MAX + 1]; /* always ends in a NUL that the size does not count */
};

/* request.c: what is asked, as `key=value` pairs separated by NUL. False: it cannot be said. */
bool request_write(pam_handle_t *pamh, struct frame *request);

/* link.c: a trusted socket, and whole frames over it before the deadline. False: it is over. */
bool link_open(struct link *link, const struct options *options);
void link_close(struct link *link);
bool link_send(const struct link *link, enum kind kind, const char *payload, size_t size);
void link_end_sending(const struct link *link);
bool link_receive(const struct link *link, struct frame *frame);
bool is_interrupted(void);

/* relay.c: carry frames between daemon and person until the verdict; a PAM return code. */
int relay(pam_handle_t *pamh, const struct link *link, const struct frame *request, bool debug);
void say(pam_handle_t *pamh, int style, const char *text);

/* text.c: control characters and bytes that are no UTF-8 become '?', in place. */
void text_clean(char *text, size_t size);

#endif
