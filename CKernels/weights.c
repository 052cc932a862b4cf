// Weight-only quantized products: packing, and the loop over tiles. (weights.h, generic/weights.inc)
#include "weights.h"

#include <string.h>

enum { group_size = octet_activation_group_size, cache_line = 64, most_rows = 4 };
// What the activations of a block of rows may take, so that they stay in the second-level cache with some weights.
enum { block_bytes = 192 << 10 };
// Waking another thread costs as much as this many products.
enum { least_task_products = 100000 };

// Where things lie in packed memory: weights, then scales, then zero points, each in panels.
typedef struct {
    size_t panels;
    size_t groups;         // of activations, in a row
    size_t scales;         // of a channel
    size_t panel_size;     // bytes of a panel's weights
    size_t scales_offset;  // bytes
    size_t zeros_offset;
    size_t size;
} packing;

static packing packing_of(const octet_weights_family *family, const octet_weights_shape *s) {
    packing p;
    p.panels = octet_divide_up(s->n, family->nr);
    p.groups = octet_divide_up(s->k, group_size);
    p.scales = s->group ? octet_divide_up(s->k, s->group) : 1;
    p.panel_size = p.groups * group_size * family->nr * (size_t)s->bits / 8;
    const size_t scales = p.panels * p.scales * family->nr;
    p.scales_offset = octet_round_up(p.panels * p.panel_size, cache_line);
    p.zeros_offset = octet_round_up(p.scales_offset + scales * sizeof(float), cache_line);
    p.size = octet_round_up(p.zeros_offset + (s->has_zeros ? scales : 0), cache_line);
    return p;
}

size_t octet_weights_packed_size(const octet_weights_family *family, const octet_weights_shape *shape) {
    return packing_of(family, shape).size;
}

// What makes a weight unsigned.
static int32_t shift_of(const octet_weights_shape *s) { return s->is_signed ? 1 << (s->bits - 1) : 0; }

void octet_weights_pack(const octet_weights_family *family, const octet_weights_shape *s, const void *weights,
                        const float *scales, const int32_t *zeros, void *packed) {
    const packing p = packing_of(family, s);
    const size_t nr = family->nr, quads = group_size / 4;
    const uint8_t *from = weights, shift = (uint8_t)shift_of(s), flip = shift ^ family->shift;
    memset(packed, 0, p.size);
    for (size_t n = 0; n < s->n; n++) {
        const size_t panel = n / nr, lane = n % nr;
        uint8_t *to = (uint8_t *)packed + panel * p.panel_size;
        for (size_t k = 0; k < s->k; k++) {
            const size_t i = n * s->k + k, quad = k % group_size / 4, within = lane * 4 + k % 4;
            uint8_t *group = to + k / group_size * group_size * nr * (size_t)s->bits / 8;
            if (s->bits == 8) {
                group[quad * nr * 4 + within] = from[i] ^ flip;
            } else {
                const uint8_t weight = ((from[i / 2] >> (i % 2 * 4)) & 15) ^ shift;
                group[quad % (quads / 2) * nr * 4 + within] |= (uint8_t)(weight << (quad / (quads / 2) * 4));
            }
        }
        for (size_t g = 0; g < p.scales; g++) {
            const size_t place = (panel * p.scales + g) * nr + lane;
            memcpy((char *)packed + p.scales_offset + place * sizeof(float), &scales[n * p.scales + g], sizeof(float));
            if (s->has_zeros) ((uint8_t *)packed)[p.zeros_offset + place] = (uint8_t)(zeros[n * p.scales + g] + shift);
        }
    }
}

// MARK: - Running

// Rows go in blocks, whose activations are quantized together; channels are split where there are fewer blocks than
// threads.
typedef struct {
    size_t block_rows, row_blocks, channel_blocks;
} split;

static split split_of(const octet_weights_family *family, const octet_weights_shape *s, size_t rows, size_t threads) {
    const packing p = packing_of(family, s);
    const size_t most = octet_larger(block_bytes / (p.groups * sizeof(octet_activation_group)), family->mr);
    const size_t blocks = octet_divide_up(rows, most);
    split result;
    result.block_rows = octet_smaller(rows, octet_round_up(octet_divide_up(rows, octet_larger(blocks, 1)), family->mr));
    result.row_blocks = octet_divide_up(rows, octet_larger(result.block_rows, 1));
    const size_t worth = octet_larger(result.block_rows * s->n * s->k / least_task_products, 1);
    const size_t shares = octet_smaller(octet_divide_up(threads, octet_larger(result.row_blocks, 1)), worth);
    result.channel_blocks = octet_smaller(shares, octet_divide_up(p.panels, family->panels));
    return result;
}

size_t octet_weights_tasks(const octet_weights_family *family, const octet_weights_shape *shape, size_t rows,
                           size_t threads) {
    const split s = split_of(family, shape, rows, threads);
    return s.row_blocks * s.channel_blocks;
}

size_t octet_weights_scratch_size(const octet_weights_family *family, const octet_weights_shape *shape, size_t rows) {
    const split s = split_of(family, shape, rows, 1);
    return octet_round_up(s.block_rows * packing_of(family, shape).groups * sizeof(octet_activation_group), cache_line);
}

void octet_weights_run(const octet_weights_family *family, const octet_weights_shape *shape, size_t rows,
                       const float *x, const void *packed, const float *bias, float lower, float upper, float *output,
                       size_t threads, size_t first, size_t last, void *scratch) {
    const packing p = packing_of(family, shape);
    const split s = split_of(family, shape, rows, threads);
    octet_activation_group *activations = scratch;
    size_t quantized = s.row_blocks;  // the block in scratch: none yet
    for (size_t task = first; task < last; task++) {
        const size_t block = task / s.channel_blocks, part = task % s.channel_blocks;
        const size_t first_row = block * s.block_rows, count = octet_smaller(s.block_rows, rows - first_row);
        if (quantized != block)
            for (size_t i = 0; i < count; i++)
                family->quantize(x + (first_row + i) * shape->k, shape->k, activations + i * p.groups);
        quantized = block;

        const size_t end = p.panels * (part + 1) / s.channel_blocks;
        for (size_t panel = p.panels * part / s.channel_blocks, panels; panel < end; panel += panels) {
            panels = octet_smaller(count == 1 ? family->wide_panels : family->panels, end - panel);
            const size_t channel = panel * family->nr;
            octet_weights_tile tile = {
                .panels = panels,
                .groups = p.groups,
                .groups_of_scale = p.scales == 1 ? p.groups : shape->group / group_size,
                .weights = (const uint8_t *)packed + panel * p.panel_size,
                .panel_stride = p.panel_size,
                .scales = (const float *)((const char *)packed + p.scales_offset) + channel * p.scales,
                .zeros = shape->has_zeros ? (const uint8_t *)packed + p.zeros_offset + channel * p.scales : NULL,
                .scale_stride = p.scales * family->nr,
                .zero = shift_of(shape),
                .bias = bias ? bias + channel : NULL,
                .lower = lower,
                .upper = upper,
                .channels = octet_smaller(panels * family->nr, shape->n - channel),
                .output_stride = shape->n,
            };
            for (size_t i = 0; i < count; i += tile.rows) {
                const octet_activation_group *row[most_rows];
                tile.rows = octet_smaller(family->mr, count - i);
                for (size_t r = 0; r < tile.rows; r++) row[r] = activations + (i + r) * p.groups;
                tile.row = row;
                tile.output = output + (first_row + i) * shape->n + channel;
                family->tile(&tile, shape->bits);
            }
        }
    }
}
