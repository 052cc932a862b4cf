// How weights of integer depthwise convolution are packed.
//
// Vectors run along the channels. The bytes that a channel has in neighbouring rows of a column are *stacked*: they lie
// side by side in a lane, so that one multiply takes several kernel rows. A block of channels fills a vector of bytes,
// 4 · lanes of them, and so four vectors of stacks, its quarters. Where fewer channels are left, a vector holds those
// of several output rows, in pieces of at least 16 bytes. Of channels that do not fill the last piece, the block starts
// earlier and overlaps with its neighbour.
//
// Bytes interleave and sums narrow within 128 bits: lane i of quarter q is byte 16 · (i / 4) + 4 · q + i % 4 of its
// vector. Each block has, 64-byte aligned: [quarter][lane] int32, what activations taken as signed bytes take from the
// sums; then weights [stack][kernel column][quarter][lane][row of the stack].
#ifndef OCTET_DEPTHWISE_H
#define OCTET_DEPTHWISE_H

#include "internal.h"

typedef struct {
    size_t first;   // channel
    size_t width;   // channels
    size_t pieces;  // output rows in a vector; each has `width` bytes of it, or 16 if there are fewer channels
    size_t end;     // channels that are done with this block
} octet_depthwise_block;

// The block that comes when channels up to `done` are dealt with.
static inline octet_depthwise_block octet_depthwise_block_at(const octet_depthwise_layout *l, size_t channels,
                                                             size_t done) {
    size_t width = 4 * l->lanes, pieces = 1;
    while (width > channels - done && pieces < l->pieces) width /= 2, pieces *= 2;
    if (channels < width) return (octet_depthwise_block){0, channels, pieces, channels};
    const size_t first = octet_smaller(done, channels - width);
    return (octet_depthwise_block){first, width, pieces, first + width};
}

// The byte of a vector whose sum is in this lane.
static inline size_t octet_depthwise_byte(size_t quarter, size_t lane) {
    return lane / 4 * 16 + quarter * 4 + lane % 4;
}

// Stacks of two rows leave the last row of an odd number alone. Windows that slide stack its bytes with those of the
// next column instead; so weights of neighbouring kernel columns follow the others, with 0 before the first and behind
// the last.
static inline size_t octet_depthwise_pairs(const octet_depthwise_layout *l, size_t kernel_h, size_t kernel_w) {
    return l->rows == 2 && kernel_h % 2 ? kernel_w + 1 : 0;
}

static inline size_t octet_depthwise_header_size(const octet_depthwise_layout *l) {
    return 4 * l->lanes * sizeof(int32_t);
}
static inline size_t octet_depthwise_block_size(const octet_depthwise_layout *l, size_t kernel_h, size_t kernel_w) {
    const size_t stacks = octet_divide_up(kernel_h, l->rows) * kernel_w + octet_depthwise_pairs(l, kernel_h, kernel_w);
    return octet_round_up(octet_depthwise_header_size(l) + stacks * 4 * l->lanes * l->rows * l->weight_size, 64);
}

#endif
