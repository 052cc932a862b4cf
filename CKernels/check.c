// What makes a shape unfit for the kernels, said before they get it.
#include "include/octet_kernels.h"

// Whether a · b, and so on for all of them, fits an object that pointers can point into.
static bool fits(const size_t *factors, size_t count) {
    size_t product = 8;
    for (size_t i = 0; i < count; i++)
        if (__builtin_mul_overflow(product, factors[i], &product)) return false;
    return product <= PTRDIFF_MAX;
}
#define FITS(...) fits((const size_t[]){__VA_ARGS__}, sizeof((const size_t[]){__VA_ARGS__}) / sizeof(size_t))

// One axis: every tap of every window has a place that a ptrdiff_t can hold.
static bool axis_fits(size_t in, size_t out, size_t kernel, size_t stride, size_t dilation, size_t pad) {
    size_t last, reach, end;
    if (__builtin_mul_overflow(out, stride, &last) || __builtin_mul_overflow(kernel, dilation, &reach)) return false;
    return !__builtin_add_overflow(last, reach, &end) && !__builtin_add_overflow(end, pad, &end) &&
           !__builtin_add_overflow(end, in, &end) && end <= PTRDIFF_MAX / 8;
}

// No int32 sum of `depth` products of bytes can overflow, whatever the zero point: 255 · 128 each.
static bool sums_fit(size_t depth) { return depth <= INT32_MAX / (255 * 128); }

const char *octet_conv_refusal(const octet_conv_shape *s, size_t batch, bool integers) {
    if (!s->in_c || !s->out_c) return "there are no channels";
    if (!s->kernel_h || !s->kernel_w) return "the kernel is empty";
    if (!s->stride_h || !s->stride_w) return "a stride is 0";
    if (!s->dilation_h || !s->dilation_w) return "a dilation is 0";
    if (!batch || !s->in_h || !s->in_w) return "there is no input";
    if (!s->out_h || !s->out_w) return "there is no output";
    if (s->pad_top < 0 || s->pad_left < 0) return "a padding is negative";
    if (!s->groups || s->in_c % s->groups || s->out_c % s->groups) return "channels are not divisible by groups";
    if (!axis_fits(s->in_h, s->out_h, s->kernel_h, s->stride_h, s->dilation_h, (size_t)s->pad_top) ||
        !axis_fits(s->in_w, s->out_w, s->kernel_w, s->stride_w, s->dilation_w, (size_t)s->pad_left) ||
        !FITS(batch, s->in_h, s->in_w, s->in_c) || !FITS(batch, s->out_h, s->out_w, s->out_c) ||
        !FITS(s->out_c, s->in_c, s->kernel_h, s->kernel_w))
        return "sizes overflow";
    if (integers && !sums_fit(s->in_c / s->groups * s->kernel_h * s->kernel_w)) return "sums overflow int32";
    return NULL;
}

const char *octet_conv_transpose_refusal(const octet_conv_shape *s, size_t batch, bool integers) {
    octet_conv_shape mirrored = *s;
    mirrored.in_h = s->out_h, mirrored.in_w = s->out_w, mirrored.out_h = s->in_h, mirrored.out_w = s->in_w;
    return octet_conv_refusal(&mirrored, batch, integers);
}

const char *octet_window_refusal(const octet_window *w, size_t batch) {
    if (!w->channels) return "there are no channels";
    if (!w->kernel_h || !w->kernel_w) return "the kernel is empty";
    if (!w->stride_h || !w->stride_w) return "a stride is 0";
    if (!w->dilation_h || !w->dilation_w) return "a dilation is 0";
    if (!batch || !w->in_h || !w->in_w) return "there is no input";
    if (!w->out_h || !w->out_w) return "there is no output";
    if (!axis_fits(w->in_h, w->out_h, w->kernel_h, w->stride_h, w->dilation_h, w->pad_top) ||
        !axis_fits(w->in_w, w->out_w, w->kernel_w, w->stride_w, w->dilation_w, w->pad_left) ||
        !FITS(batch, w->in_h, w->in_w, w->channels) || !FITS(batch, w->out_h, w->out_w, w->channels) ||
        !FITS(w->channels, w->kernel_h, w->kernel_w))
        return "sizes overflow";
    if (!sums_fit(w->kernel_h * w->kernel_w)) return "sums overflow int32";
    return NULL;
}

const char *octet_weights_refusal(const octet_weights_shape *s, size_t rows) {
    if (!s->n) return "there are no channels";
    if (!s->k || !rows) return "there is no input";
    if (s->bits != 4 && s->bits != 8) return "weights have neither 4 nor 8 bits";
    if (s->group % 32) return "groups are not of a multiple of 32";
    // (Panels and groups are rounded up, by a factor of 64 and of 32 at most.)
    if (!FITS(rows, s->k, 64) || !FITS(rows, s->n) || !FITS(s->n, s->k, 64 * 32)) return "sizes overflow";
    return NULL;
}
