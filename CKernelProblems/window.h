// Windows over NHWC images: what depthwise convolution and pooling share.
#ifndef OCTET_PROBLEMS_WINDOW_H
#define OCTET_PROBLEMS_WINDOW_H

#include "kind.h"

#define OCTET_WINDOW_PARAMETERS                                                                                        \
    OCTET_NUMBER("batch", 1, 1 << 16, 1, 1, 1, 2, 3),                                                                  \
        OCTET_NUMBER("in_h", 1, 1 << 16, 56, 1, 2, 3, 5, 7, 8, 9, 12, 15, 20),                                         \
        OCTET_NUMBER("in_w", 1, 1 << 16, 56, 1, 2, 3, 4, 7, 8, 10, 14, 17, 21, 26),                                    \
        OCTET_CROSSED("channels", 1, 1 << 20, 144, 1, 3, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 64, 65, 70, 130),     \
        OCTET_CROSSED("kernel_h", 1, 1 << 10, 3, 1, 2, 3, 5, 7),                                                       \
        OCTET_NUMBER("kernel_w", 1, 1 << 10, 3, 1, 2, 3, 3, 3, 5, 5, 7), OCTET_CROSSED("stride_h", 1, 64, 1, 1, 2, 3), \
        OCTET_NUMBER("stride_w", 1, 64, 1, 1, 1, 2, 2, 3), OCTET_NUMBER("dilation_h", 1, 64, 1, 1, 1, 1, 2, 3),        \
        OCTET_NUMBER("dilation_w", 1, 64, 1, 1, 1, 1, 2, 3), OCTET_CROSSED("pad_top", 0, 64, 1, 0, 1, 2),              \
        OCTET_NUMBER("pad_left", 0, 64, 1, 0, 1, 1, 2, 3), OCTET_NUMBER("extra_h", 0, 64, 0, 0, 0, 0, 1, 3),           \
        OCTET_NUMBER("extra_w", 0, 64, 0, 0, 0, 0, 1, 4)

// Outputs of an axis; extra: padding at the end beyond that at the start. 0 where the kernel does not fit.
static inline size_t octet_outputs(size_t in, size_t kernel, size_t stride, size_t dilation, size_t pad, size_t extra) {
    const size_t padded = in + 2 * pad + extra, reach = (kernel - 1) * dilation + 1;
    return padded < reach ? 0 : (padded - reach) / stride + 1;
}

static inline octet_window octet_window_of(const octet_kind *kind, const int64_t *values) {
#define SIZE(name) octet_size(kind, values, name)
    octet_window w = {
        .in_h = SIZE("in_h"),
        .in_w = SIZE("in_w"),
        .channels = SIZE("channels"),
        .kernel_h = SIZE("kernel_h"),
        .kernel_w = SIZE("kernel_w"),
        .stride_h = SIZE("stride_h"),
        .stride_w = SIZE("stride_w"),
        .dilation_h = SIZE("dilation_h"),
        .dilation_w = SIZE("dilation_w"),
        .pad_top = SIZE("pad_top"),
        .pad_left = SIZE("pad_left"),
    };
    w.out_h = octet_outputs(w.in_h, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top, SIZE("extra_h"));
    w.out_w = octet_outputs(w.in_w, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left, SIZE("extra_w"));
#undef SIZE
    return w;
}

static inline size_t octet_window_inputs(const octet_window *w, size_t batch) {
    return batch * w->in_h * w->in_w * w->channels;
}
static inline size_t octet_window_outputs(const octet_window *w, size_t batch) {
    return batch * w->out_h * w->out_w * w->channels;
}

#endif
