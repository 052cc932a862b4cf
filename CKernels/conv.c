// The loop nest of GEMM and convolution, the same for every instruction set and element type: a task copies the input
// rows of its strip into scratch (or reads the tensor), then runs tiles over blocks of weights that stay in the cache.
#include <string.h>

#include "conv_chain.h"

enum {
    // Weights that stay in the second-level cache while all tiles of a strip pass over them.
    weight_block_bytes = 512 << 10,
    most_tile_rows = 32,
};

// What one task works on.
typedef struct {
    const octet_conv_plan *plan;
    const char *activations;  // of the strip's first input row
    const size_t *tap_offsets;
    const char *packed;
    const octet_epilogue *epilogue;
    size_t output_size;    // bytes of an output element
    char *output;          // of the image
    const char *residual;  // of the image, or NULL
    octet_conv_rows rows;
    size_t done;  // pixels of the first row that need no tile
} strip_work;

// MARK: - Activations

static void fill(char *to, size_t bytes, size_t stored_size, uint8_t zero) {
    if (stored_size != 2) {
        // One byte each; or float32, whose zero is all zero bytes.
        memset(to, zero, bytes);
        return;
    }
    const uint16_t wide = zero;
    for (size_t i = 0; i < bytes; i += sizeof wide) memcpy(to + i, &wide, sizeof wide);
}

// `count` pixels next to each other in the tensor, into the form and pitch of the strip.
static void copy_pixels(const octet_conv_plan *plan, char *to, const char *from, size_t count) {
    const octet_gemm_family *family = plan->family;
    const octet_conv_shape *s = &plan->shape;
    if (plan->pixel_pitch == s->in_c * family->stored_size) {
        family->store(to, from, count * s->in_c);
        return;
    }
    const size_t from_step = plan->group_inputs * family->source_size, to_step = plan->pixel_pitch / s->groups;
    for (size_t i = 0; i < count * s->groups; i++)
        family->store(to + i * to_step, from + i * from_step, plan->group_inputs);
}

// The input rows that output rows `rows` reach, with the border filled in.
static void copy_strip(const octet_conv_plan *plan, const char *image, octet_conv_rows rows, uint8_t zero,
                       char *strip) {
    const octet_conv_shape *s = &plan->shape;
    const size_t source_pixel = s->in_c * plan->family->source_size;
    const size_t count = octet_conv_input_rows(s, rows.last - rows.first), columns = octet_conv_input_columns(s);
    if (columns == 1 && s->in_w == 1 && s->pad_left == 0 && !s->pad_top && plan->row_pitch == plan->pixel_pitch &&
        rows.first * s->stride_h + count <= s->in_h) {
        copy_pixels(plan, strip, image + rows.first * s->stride_h * source_pixel, count);
        return;
    }
    const size_t left = octet_smaller(s->pad_left, columns);
    const size_t inside = octet_smaller(s->in_w, columns - left), right = columns - left - inside;
    for (size_t i = 0; i < count; i++) {
        char *to = strip + i * plan->row_pitch;
        const ptrdiff_t y = (ptrdiff_t)(rows.first * s->stride_h + i) - (ptrdiff_t)s->pad_top;
        if (y < 0 || y >= (ptrdiff_t)s->in_h) {
            fill(to, columns * plan->pixel_pitch, plan->family->stored_size, zero);
            continue;
        }
        fill(to, left * plan->pixel_pitch, plan->family->stored_size, zero);
        copy_pixels(plan, to + left * plan->pixel_pitch, image + (size_t)y * s->in_w * source_pixel, inside);
        fill(to + (left + inside) * plan->pixel_pitch, right * plan->pixel_pitch, plan->family->stored_size, zero);
    }
}

// What each run adds to where a pixel's window starts.
static void find_tap_offsets(const octet_conv_plan *plan, size_t *offsets) {
    const octet_conv_shape *s = &plan->shape;
    const size_t across = plan->merged ? 1 : s->kernel_w;
    for (size_t y = 0; y < s->kernel_h; y++)
        for (size_t x = 0; x < across; x++)
            *offsets++ = y * s->dilation_h * plan->row_pitch + x * s->dilation_w * plan->pixel_pitch;
}

// MARK: - Tiles

// Tiles over panels first ..< last of one group, for all pixels of the strip.
static void run_panels(const strip_work *work, size_t group, size_t first, size_t last) {
    const octet_conv_plan *plan = work->plan;
    const octet_gemm_family *family = plan->family;
    const octet_conv_shape *s = &plan->shape;
    const size_t all = (work->rows.last - work->rows.first) * s->out_w, pixels = all - work->done;
    const bool wide = pixels <= family->wide_mr;
    const size_t width = wide ? family->wide_panels : family->panels;
    const size_t tiles = octet_divide_up(pixels, family->mr);  // of heights that differ by one at most
    const char *row[most_tile_rows];
    octet_tile tile = {
        .row = row,
        .tap_offsets = work->tap_offsets,
        .taps = plan->taps,
        .steps = plan->steps,
        .panel_stride = plan->panel_size,
        .epilogue = work->epilogue,
        .output_stride = s->out_c,
    };
    // Where the output row of the next pixel starts to read.
    const char *line = work->activations + group * (plan->pixel_pitch / s->groups);
    size_t x = work->done;
    for (size_t i = 0, pixel = work->done; i < tiles; i++) {
        const size_t end = work->done + pixels * (i + 1) / tiles;
        tile.rows = end - pixel;
        for (size_t r = 0; r < tile.rows; r++) {
            row[r] = line + x * s->stride_w * plan->pixel_pitch;
            if (++x == s->out_w) x = 0, line += s->stride_h * plan->row_pitch;
        }
        const size_t place = (work->rows.first * s->out_w + pixel) * s->out_c + group * plan->group_outputs;
        for (size_t panel = first; panel < last; panel += width) {
            const size_t channel = panel * family->nr;
            tile.panels = octet_smaller(width, last - panel);
            tile.weights = work->packed + (group * plan->group_panels + panel) * plan->panel_size;
            tile.channel = group * plan->group_panels * family->nr + channel;
            tile.channels = octet_smaller(tile.panels * family->nr, plan->group_outputs - channel);
            tile.output = work->output + (place + channel) * work->output_size;
            tile.residual = work->residual ? work->residual + (place + channel) * family->source_size : NULL;
            family->tile(&tile);
        }
        pixel = end;
    }
}

// Panels first ..< last, counted through all groups, in blocks that the cache holds.
static void run_columns(const strip_work *work, size_t first, size_t last) {
    const octet_conv_plan *plan = work->plan;
    const size_t width = plan->family->wide_panels;
    const size_t fitting = weight_block_bytes / plan->panel_size / width * width;
    const size_t block = octet_larger(fitting, width);
    while (first < last) {
        const size_t group = first / plan->group_panels, panel = first % plan->group_panels;
        const size_t count = octet_smaller(octet_smaller(block, last - first), plan->group_panels - panel);
        run_panels(work, group, panel, panel + count);
        first += count;
    }
}

// Panels first ..< last of the output rows of `work`: by chains as many pixels as are faster that way, the others by
// tiles.
static void run_strip(strip_work *work, const char *image, uint8_t zero, size_t first, size_t last, char *scratch) {
    const octet_conv_plan *plan = work->plan;
    const size_t pixels = (work->rows.last - work->rows.first) * plan->shape.out_w;
    const size_t chained = octet_chain_share(plan, work->packed, pixels);
    if (chained)
        octet_chain_run(plan, image, zero, work->packed, work->epilogue, work->output, work->residual, work->rows,
                        chained, first, last, scratch);
    if (chained == pixels) return;
    work->rows.first += chained / plan->shape.out_w;
    work->done = chained % plan->shape.out_w;
    if (plan->copied) {
        copy_strip(plan, image, work->rows, zero, scratch);
        work->activations = scratch;
    } else {
        work->activations = image + work->rows.first * plan->shape.stride_h * plan->row_pitch;
    }
    run_columns(work, first, last);
}

void octet_conv_run(const octet_gemm_family *family, const octet_conv_shape *shape, size_t batch, const void *input,
                    uint8_t input_zero, const void *packed, const octet_epilogue *epilogue, void *output, size_t tasks,
                    size_t first, size_t last, void *scratch) {
    const octet_conv_plan plan = octet_conv_plan_make(family, shape, batch);
    const octet_conv_shape *s = &plan.shape;
    const octet_conv_split split = octet_conv_split_make(&plan, tasks);
    size_t *tap_offsets = scratch;
    char *strip = (char *)scratch + octet_round_up(plan.taps * sizeof(size_t), 64);
    find_tap_offsets(&plan, tap_offsets);

    const size_t columns = s->groups * plan.group_panels;
    const size_t image_outputs = s->out_h * s->out_w * s->out_c;
    const size_t image_size = s->in_h * s->in_w * s->in_c * family->source_size;
    const size_t output_size = epilogue->output == OCTET_OUTPUT_UINT8 && family->source_size == 1 ? 1 : 4;
    // Chains of single pixels copy no strip, and want as many pixels as there are: all tasks at once.
    const bool joins = family->chains && octet_chain_is_pixelwise(&plan) && plan.images == 1 && split.blocks == 1;
    for (size_t task = first, next; task < last; task = next) {
        const size_t block = task % split.blocks, index = task / split.blocks;
        const size_t image = index / split.strips;
        next = task + 1;
        strip_work work = {
            .plan = &plan,
            .tap_offsets = tap_offsets,
            .packed = packed,
            .epilogue = epilogue,
            .output_size = output_size,
            .rows = octet_conv_strip(&plan, split.strips, index % split.strips),
        };
        work.output = (char *)output + image * image_outputs * work.output_size;
        if (epilogue->residual)
            work.residual = (const char *)epilogue->residual + image * image_outputs * family->source_size;
        if (joins) {
            const size_t end = octet_conv_strip(&plan, split.strips, last - 1).last;
            if (octet_chain_share(&plan, packed, end - work.rows.first)) work.rows.last = end, next = last;
        }
        run_strip(&work, (const char *)input + image * image_size, input_zero, columns * block / split.blocks,
                  columns * (block + 1) / split.blocks, strip);
    }
}
