/* Law: no byte that a terminal obeys and no broken UTF-8 leaves text_clean(). Bidirectional and
 * invisible characters are the daemon's business: it knows which parts of a text are claims. */
#include "stepup.h"

struct range {
    unsigned char low, high;
};

static bool is_within(unsigned char byte, struct range range) {
    return byte >= range.low && byte <= range.high;
}

/* What may follow a lead byte: The Unicode Standard, table 3-7, without the C1 controls
 * (U+0080..U+009F, that is C2 80..9F). */
static struct range second_byte(unsigned char lead) {
    switch (lead) {
    case 0xc2:
        return (struct range){0xa0, 0xbf};
    case 0xe0:
        return (struct range){0xa0, 0xbf};
    case 0xed:
        return (struct range){0x80, 0x9f};
    case 0xf0:
        return (struct range){0x90, 0xbf};
    case 0xf4:
        return (struct range){0x80, 0x8f};
    default:
        return (struct range){0x80, 0xbf};
    }
}

static size_t sequence_length(unsigned char lead) {
    if (is_within(lead, (struct range){0x20, 0x7e}))
        return 1;
    if (is_within(lead, (struct range){0xc2, 0xdf}))
        return 2;
    if (is_within(lead, (struct range){0xe0, 0xef}))
        return 3;
    if (is_within(lead, (struct range){0xf0, 0xf4}))
        return 4;
    return 0;
}

/* The length of the printable character that starts here, or 0. */
static size_t character_length(const char *text, size_t size) {
    size_t length = sequence_length((unsigned char)text[0]);
    if (length > size)
        return 0;
    if (length > 1 && !is_within((unsigned char)text[1], second_byte((unsigned char)text[0])))
        return 0;
    for (size_t i = 2; i < length; i++)
        if (!is_within((unsigned char)text[i], (struct range){0x80, 0xbf}))
            return 0;
    return length;
}

void text_clean(char *text, size_t size) {
    size_t at = 0;
    while (at < size) {
        size_t length = character_length(text + at, size - at);
        if (length == 0) {
            text[at] = '?';
            length = 1;
        }
        at += length;
    }
}
