// Which taps of a window lie on the image.
#ifndef OCTET_WINDOW_H
#define OCTET_WINDOW_H

#include <stddef.h>

// Taps first ..< last of one axis lie on the image; tap k reads position start + k · dilation.
typedef struct {
    size_t first, last;
    ptrdiff_t start;
} octet_taps;

static inline octet_taps octet_taps_at(size_t out, size_t stride, size_t pad, size_t dilation, size_t kernel,
                                       size_t in) {
    const ptrdiff_t start = (ptrdiff_t)(out * stride) - (ptrdiff_t)pad;
    const ptrdiff_t room = (ptrdiff_t)in - start;
    // Most windows lie on the image, and a division would cost more than a small window.
    if (start >= 0 && room > (ptrdiff_t)((kernel - 1) * dilation)) return (octet_taps){0, kernel, start};
    const size_t before = start < 0 ? ((size_t)-start + dilation - 1) / dilation : 0;
    const size_t reach = room > 0 ? ((size_t)room + dilation - 1) / dilation : 0;
    const size_t last = reach < kernel ? reach : kernel;
    return (octet_taps){before < last ? before : last, last, start};
}

#endif
