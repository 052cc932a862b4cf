// What the loop nests and the tiles agree on, and nobody outside this folder sees.
#ifndef OCTET_INTERNAL_H
#define OCTET_INTERNAL_H

#include "include/octet_kernels.h"

// Everything that one call of octet_gemm_family.tile needs. Strides are in bytes unless they say elements.
struct octet_tile {
    size_t rows, panels;
    const char *const *row;     // where each pixel's activations start
    const size_t *tap_offsets;  // what each run adds to that
    size_t taps, steps;         // runs; steps of kr elements in one run
    const char *weights;        // of the first panel, or (octet_conv_tile_start) where its weights start
    size_t panel_stride;
    const octet_epilogue *epilogue;
    size_t channel;             // the first channel, as an index into the epilogue's arrays
    size_t channels;            // how many exist: 1 ... panels · nr
    void *output;               // the first channel of the first pixel
    const void *residual;       // the same place in the residual, or NULL
    size_t output_stride;       // elements from one pixel to the next, in output and residual
    const int32_t *pixel_sums;  // Σ of each pixel's activations, for weights with zero points; otherwise NULL
    const int32_t *row_shifts;  // what is added to every sum of a row, or NULL
};

// Most quotients of a small problem are 0 or those of 1; a division costs as much as a small tile.
static inline size_t octet_quotient(size_t value, size_t divisor) {
    if (divisor == 1) return value;
    return value < divisor ? 0 : value / divisor;
}
static inline size_t octet_divide_up(size_t value, size_t divisor) {
    return value ? octet_quotient(value - 1, divisor) + 1 : 0;
}
static inline size_t octet_round_up(size_t value, size_t multiple) {
    return octet_divide_up(value, multiple) * multiple;
}
static inline size_t octet_smaller(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t octet_larger(size_t a, size_t b) { return a > b ? a : b; }

#endif
