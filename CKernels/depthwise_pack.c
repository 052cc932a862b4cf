#include <string.h>

#include "depthwise.h"

size_t octet_depthwise_packed_size(const octet_depthwise_layout *l, size_t channels, size_t kernel_h, size_t kernel_w) {
    size_t blocks = 0;
    for (size_t done = 0; done < channels; done = octet_depthwise_block_at(l, channels, done).end) blocks++;
    return blocks * octet_depthwise_block_size(l, kernel_h, kernel_w);
}

// One lane of a block: the weights of one channel, or NULL if there is none for it.
typedef struct {
    const octet_depthwise_layout *layout;
    const int8_t *weights;
    size_t kernel_h, kernel_w;
    size_t place;
    char *stacks;
} lane;

static int8_t weight_at(const lane *lane, size_t ky, size_t kx) {
    const bool exists = lane->weights && ky < lane->kernel_h && kx < lane->kernel_w;
    return exists ? lane->weights[ky * lane->kernel_w + kx] : 0;
}
static void put(const lane *lane, size_t stack, size_t row, int8_t weight) {
    const size_t to = (stack * 4 * lane->layout->lanes + lane->place) * lane->layout->rows + row;
    if (lane->layout->weight_size == 1) {
        ((int8_t *)lane->stacks)[to] = weight;
    } else {
        ((int16_t *)lane->stacks)[to] = weight;
    }
}
static void pack_lane(const lane *lane) {
    const size_t rows = lane->layout->rows;
    size_t stack = 0;
    for (size_t ky = 0; ky < lane->kernel_h; ky += rows)
        for (size_t kx = 0; kx < lane->kernel_w; kx++, stack++)
            for (size_t row = 0; row < rows; row++) put(lane, stack, row, weight_at(lane, ky + row, kx));
    const size_t pairs = octet_depthwise_pairs(lane->layout, lane->kernel_h, lane->kernel_w);
    for (size_t pair = 0; pair < pairs; pair++, stack++) {
        put(lane, stack, 0, weight_at(lane, lane->kernel_h - 1, pair - 1));
        put(lane, stack, 1, weight_at(lane, lane->kernel_h - 1, pair));
    }
}

void octet_depthwise_pack_s8(const octet_depthwise_layout *l, const int8_t *weights, size_t channels, size_t kernel_h,
                             size_t kernel_w, void *packed, int32_t *sums) {
    const size_t taps = kernel_h * kernel_w;
    char *to = packed;
    for (size_t done = 0; done < channels; to += octet_depthwise_block_size(l, kernel_h, kernel_w)) {
        const octet_depthwise_block block = octet_depthwise_block_at(l, channels, done);
        const size_t piece = 4 * l->lanes / block.pieces;
        for (size_t place = 0; place < 4 * l->lanes; place++) {
            const size_t c = octet_depthwise_byte(place / l->lanes, place % l->lanes) % piece;
            const int8_t *filter = c < block.width ? weights + (block.first + c) * taps : NULL;
            pack_lane(&(lane){l, filter, kernel_h, kernel_w, place, to + octet_depthwise_header_size(l)});
            int32_t sum = 0;
            for (size_t tap = 0; filter && tap < taps; tap++) sum += filter[tap];
            ((int32_t *)to)[place] = l->shift * sum;
        }
        done = block.end;
    }
    for (size_t c = 0; sums && c < channels; c++) {
        sums[c] = 0;
        for (size_t tap = 0; tap < taps; tap++) sums[c] += weights[c * taps + tap];
    }
}

void octet_depthwise_pack_f32(const float *weights, size_t channels, size_t taps, float *packed) {
    for (size_t c = 0; c < channels; c++)
        for (size_t tap = 0; tap < taps; tap++) packed[tap * channels + c] = weights[c * taps + tap];
}
