// Chains: exact convolution with a byte multiply that adds pairs of products in int16 and saturates (vpmaddubsw).
//
// Activations are never negative, so an int16 lane cannot overflow while the positive weights that go into it sum to
// 128 at most and the negative ones to −128 at least (128 · 255 = 32640). Most weights are small: when they are packed,
// each output channel orders its quads (four weights of neighbouring input channels at one tap) into chains of up to
// four that keep this bound in every lane, and only the sum of a chain is widened to int32.
//
// Chains bring their weights, in the order in which they are read; a quad that breaks the bound by itself is the sum of
// two, or, in the short windows of first layers, where that would be many, it is multiplied in int16 (vpmaddwd), two
// pairs at a time. That takes 1.5 bytes for each weight beside those of the panel. Where it is more than the cache
// holds, a chain is the numbers of its quads, a byte each, and reads the panel's weights (which are four bytes next to
// each other) in that order; a quad that breaks the bound is multiplied twice, by every second of its weights. This
// takes a sixth of the memory, and 6 % more time.
//
// Every channel has an order of its own, so pixels are what a vector holds: a tile's activations lie in a panel
// [quad][pixels][4], a channel's weights are broadcast, and sums lie in [channel][pixels].
#ifndef OCTET_CONV_CHAIN_H
#define OCTET_CONV_CHAIN_H

#include "conv_plan.h"

enum {
    octet_chain_pixels = 64,                     // pixels of the widest tile
    octet_chain_block_quads = 96,                // quads of a panel: with a few sums it fills the first-level cache
    octet_chain_most_quads = 127,                // of any panel: a byte counts twice as many links
    octet_chain_longest = 4,                     // quads in a chain
    octet_chain_most_paired = 16,                // quads of a panel that has them as int16 too
    octet_chain_finished = 64,                   // channels finished together: a cache line of a pixel
    octet_chain_pitch = octet_chain_pixels * 4,  // bytes of a panel from one quad to the next
    octet_chain_near_bytes = 512 << 10,          // of links: what the second-level cache holds
};

// One multiply by the weights of a panel: its quad in the block.
typedef uint8_t octet_chain_reference;

// One multiply by weights of its own: where its quad lies in the panel, in bytes, and the weights.
typedef struct {
    uint16_t place;
    int8_t weights[4];
} octet_chain_link;

// A quad in int16, in the room of two links: its bytes 0 and 2 lie at `place`, bytes 1 and 3 in the next row of the
// panel.
typedef struct {
    uint16_t place;
    int16_t even[2], odd[2], unused;
} octet_chain_pairs;

// Where the references or links of one channel and block start, and how many chains there are of 1, 2, 3 and 4 of them;
// long ones come first, and quads that are multiplied in another way at the end.
typedef struct {
    uint32_t start;
    uint8_t counts[octet_chain_longest], others;
} octet_chain_entry;

// In front of the chains in packed weights: how many links (or references), chains and quads of the other way there are
// for each four products, on average. All 0: these weights have no chains, or are all 0.
typedef struct {
    float links, chains, others;
} octet_chain_header;

// How the chains of one convolution are stored, after its panels: header, entries [group][block][channel], references
// or links.
//
// A quad is four input channels of one tap, tap by tap and in a panel's order; or, where that would leave too many
// places empty (first layers), four bytes of a kernel row, whose last one, two or three bytes share a quad with those
// of the next rows if they fit.
typedef struct {
    bool possible;  // by what is known of the shape without the image
    bool rows;      // quads are bytes of kernel rows
    bool paired;    // panels have int16 too: behind all quads, two rows for each
    bool refers;    // panels hold the same quads: references instead of links
    size_t taps, group_quads;
    size_t row_full, row_rest, row_share;  // of a kernel row: full quads, bytes beyond them, and how many rows have
                                           // theirs in one quad
    size_t quads, blocks;                  // places of one channel
    size_t offset, entries, links, most_links;
    size_t end;
} octet_chain_layout;

octet_chain_layout octet_chain_layout_make(const octet_conv_plan *);
static inline size_t octet_chain_block(const octet_chain_layout *l, size_t block) {
    return l->quads * block / l->blocks;
}
// The place of a kernel row's first quad. Behind its full quads lies the one that it shares with the next rows.
static inline size_t octet_chain_row_start(const octet_chain_layout *l, size_t row) {
    return row * l->row_full + (l->row_rest ? octet_divide_up(row, l->row_share) : 0);
}
void octet_chain_pack(const octet_conv_plan *, const int8_t *weights, char *packed);

// How many pixels of a strip are faster with the chains of these weights than with panels: none, all, or all but a few
// at the end that would fill too little of a vector.
size_t octet_chain_share(const octet_conv_plan *, const char *packed, size_t pixels);
size_t octet_chain_scratch_size(const octet_conv_plan *);
// Whether chains read the tensor itself, so that the strips of several tasks may as well be one.
bool octet_chain_is_pixelwise(const octet_conv_plan *);
// The most images that make one strip: of small ones enough to fill several tiles.
size_t octet_chain_most_images(const octet_conv_plan *);
// The first `pixels` pixels of output rows of one image, or of some whole images (`rows` is all of them then), and
// panels first ..< last, as octet_conv_run divides them.
void octet_chain_run(const octet_conv_plan *, const char *image, size_t images, uint8_t zero, const char *packed,
                     const octet_epilogue *, char *output, const char *residual, octet_conv_rows rows, size_t pixels,
                     size_t first, size_t last, char *scratch);

// MARK: - What an instruction set provides

// The sums of some channels over one block of quads.
typedef struct {
    size_t vectors;  // of pixels
    const uint8_t *panel;
    const octet_chain_entry *entries;  // of the first channel
    const octet_chain_link *links;     // NULL: there are references instead
    const octet_chain_reference *references;
    const char *weights;   // to the block's first quad in the panel that starts with the first channel
    size_t weights_pitch;  // bytes from one panel to the next
    size_t quads;          // of the block
    size_t channels;
    const int32_t *initial;  // of the first channel, or NULL: go on from `sums`
    int32_t *sums;           // [channels][octet_chain_pixels]
} octet_chain_tile;

// Output pixels next to each other in a row, as they lie in a plane and in a panel.
typedef struct {
    size_t from, to;  // bytes
    size_t count;
} octet_chain_run_of_pixels;

struct octet_chain_kernel {
    size_t lanes;  // pixels of a vector
    void (*tile)(const octet_chain_tile *);
    // The same for the last block and at most octet_chain_finished channels, and their epilogue: of octet_tile it reads
    // what concerns the output.
    void (*finish)(const octet_chain_tile *, const octet_tile *);
    // Pixels [count][from_pitch] of `channels` bytes → [quads][to_pitch] of four bytes each, in the order of a panel's
    // weights; what is missing in the last quad is undefined. Reads nothing from `end` on, writes whole vectors.
    void (*to_quads)(uint8_t *to, size_t to_pitch, const uint8_t *from, size_t from_pitch, size_t count,
                     size_t channels, const uint8_t *end);
    // The same for windows of `rows` kernel rows, [count][from_pitch] in each, where quads are bytes of kernel rows.
    // Reads whole vectors of pixels, and sixteen bytes more. Paired layouts: writes their int16 as well.
    void (*rows_to_quads)(uint8_t *panel, const octet_chain_layout *, const uint8_t *from, size_t row_pitch,
                          size_t from_pitch, size_t rows, size_t count);
    // Runs of every stride-th pixel, into as many rows of a panel as there are offsets: what each adds to `from`. Reads
    // and writes whole vectors.
    void (*gather)(uint8_t *panel, const uint8_t *from, const size_t *offsets, size_t count,
                   const octet_chain_run_of_pixels *, size_t runs, size_t stride);
};

#endif
