/* Law: text from the daemon is cleaned before anybody sees it; what was typed is sent once and
 * wiped at once; the verdict is one byte and an unknown byte is no success. Texts and prompts are
 * shown under PAM_SILENT too: sudo always sets it, and who is not told to touch cannot touch. */
#include "stepup.h"

#include <security/pam_ext.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

static void discard(struct pam_response *response) {
    if (response == NULL)
        return;
    if (response->resp != NULL) {
        explicit_bzero(response->resp, strlen(response->resp));
        free(response->resp);
    }
    free(response);
}

/* One message to the person. False: there is no conversation or it failed, and whatever it left in
 * the response is not ours: pam_conv(3). */
static bool converse(pam_handle_t *pamh, int style, const char *text,
                     struct pam_response **response) {
    const void *item = NULL;
    const struct pam_message message = {.msg_style = style, .msg = text};
    const struct pam_message *messages = &message;
    *response = NULL;
    if (pam_get_item(pamh, PAM_CONV, &item) != PAM_SUCCESS || item == NULL)
        return false;
    const struct pam_conv *conversation = item;
    if (conversation->conv == NULL)
        return false;
    return conversation->conv(1, &messages, response, conversation->appdata_ptr) == PAM_SUCCESS;
}

/* A text that cannot be shown changes nothing: the verdict stands on its own. */
void say(pam_handle_t *pamh, int style, const char *text) {
    struct pam_response *response;
    if (converse(pamh, style, text, &response))
        discard(response);
}

/* The person's side ended it unless PAM_SUCCESS: no answer, or one too long to be meant. An answer
 * that cannot be sent ends only our sending: the daemon may have concluded while it was typed, and
 * then its last words wait to be read; if not, it hears that none will come, and hangs up. */
static int ask(pam_handle_t *pamh, const struct link *link, int style, const char *text) {
    struct pam_response *response;
    int status = PAM_AUTH_ERR;
    if (!converse(pamh, style, text, &response))
        return status;
    if (response != NULL && response->resp != NULL) {
        size_t size = strnlen(response->resp, ANSWER_MAX + 1);
        if (size <= ANSWER_MAX) {
            if (!link_send(link, KIND_ANSWER, response->resp, size))
                link_end_sending(link);
            status = PAM_SUCCESS;
        }
    }
    discard(response);
    return status;
}

static int conclude(pam_handle_t *pamh, struct frame *verdict, bool debug) {
    if (debug) {
        text_clean(verdict->payload, verdict->size);
        pam_syslog(pamh, LOG_DEBUG, "verdict \"%s\"", verdict->payload);
    }
    switch (verdict->size > 0 ? verdict->payload[0] : '\0') {
    case 'A':
        return PAM_SUCCESS;
    case 'D':
        return PAM_AUTH_ERR;
    case 'P':
        return PAM_PERM_DENIED;
    case 'M':
        return PAM_MAXTRIES;
    default:
        return PAM_AUTHINFO_UNAVAIL;
    }
}

/* The connection ended without a verdict. */
static int give_up(pam_handle_t *pamh) {
    if (is_interrupted())
        return PAM_AUTH_ERR;
    pam_syslog(pamh, LOG_ERR, "stepupd gave no verdict");
    say(pamh, PAM_ERROR_MSG, "Step-up authentication gave no answer.");
    return PAM_AUTHINFO_UNAVAIL;
}

int relay(pam_handle_t *pamh, const struct link *link, const struct frame *request, bool debug) {
    struct frame frame;
    int status = PAM_SUCCESS;
    if (!link_send(link, request->kind, request->payload, request->size))
        return give_up(pamh);
    while (status == PAM_SUCCESS) {
        if (!link_receive(link, &frame))
            return give_up(pamh);
        if (frame.kind == KIND_VERDICT)
            return conclude(pamh, &frame, debug);
        text_clean(frame.payload, frame.size);
        switch (frame.kind) {
        case KIND_INFO:
            say(pamh, PAM_TEXT_INFO, frame.payload);
            break;
        case KIND_ERROR:
            say(pamh, PAM_ERROR_MSG, frame.payload);
            break;
        case KIND_ASK_HIDDEN:
            status = ask(pamh, link, PAM_PROMPT_ECHO_OFF, frame.payload);
            break;
        case KIND_ASK_VISIBLE:
            status = ask(pamh, link, PAM_PROMPT_ECHO_ON, frame.payload);
            break;
        default:
            return give_up(pamh);
        }
    }
    return status;
}
