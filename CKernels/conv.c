// The loop nest of GEMM and convolution, the same for every instruction set and element type: a task copies the input
// rows of its strip into scratch (or reads the tensor), then runs tiles over blocks of weights that stay in the cache.
// GEMM of very few rows needs none of that (conv_few_rows.c).
#include <math.h>
#include <string.h>

#include "conv_chain.h"
#include "window.h"

enum {
    // Weights that stay in the second-level cache while all tiles of a strip pass over them.
    weight_block_bytes = 512 << 10,
    most_tile_rows = 32,
};

// What one task works on.
typedef struct {
    const octet_conv_plan *plan;
    const char *activations;  // what the strip's first output pixel reads
    const size_t *tap_offsets;
    const char *packed;
    const octet_epilogue *epilogue;
    size_t output_size;    // bytes of an output element
    char *output;          // of the image
    const char *residual;  // of the image, or NULL
    octet_conv_rows rows;
    size_t done;  // pixels of the first row that need no tile
    bool skips_padding;
    const int32_t *shifts;  // of the strip's rows, if they are stored by magnitudes
    char *last;             // scratch for the last pixel
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
    const ptrdiff_t top = (ptrdiff_t)(rows.first * s->stride_h) - s->pad_top;
    if (columns == 1 && s->in_w == 1 && s->pad_left == 0 && plan->row_pitch == plan->pixel_pitch && top >= 0 &&
        (size_t)top + count <= s->in_h) {
        copy_pixels(plan, strip, image + (size_t)top * source_pixel, count);
        return;
    }
    const size_t left = s->pad_left > 0 ? octet_smaller((size_t)s->pad_left, columns) : 0;
    const size_t cropped = s->pad_left < 0 ? octet_smaller((size_t)-s->pad_left, s->in_w) : 0;
    const size_t inside = octet_smaller(s->in_w - cropped, columns - left), right = columns - left - inside;
    for (size_t i = 0; i < count; i++) {
        char *to = strip + i * plan->row_pitch;
        const ptrdiff_t y = top + (ptrdiff_t)i;
        if (y < 0 || y >= (ptrdiff_t)s->in_h) {
            fill(to, columns * plan->pixel_pitch, plan->family->stored_size, zero);
            continue;
        }
        fill(to, left * plan->pixel_pitch, plan->family->stored_size, zero);
        copy_pixels(plan, to + left * plan->pixel_pitch, image + ((size_t)y * s->in_w + cropped) * source_pixel,
                    inside);
        fill(to + (left + inside) * plan->pixel_pitch, right * plan->pixel_pitch, plan->family->stored_size, zero);
    }
}

// Rows of a plan by magnitudes, and their shifts.
static void store_rows(const octet_conv_plan *plan, const char *image, octet_conv_rows rows, char *strip,
                       int32_t *shifts) {
    const size_t columns = plan->shape.in_c;
    for (size_t row = rows.first; row < rows.last; row++, strip += plan->row_pitch)
        *shifts++ = plan->family->magnitudes->store(strip, image + row * columns, columns);
}

// Where a window's row comes from: every window reads `step` bytes further on.
typedef struct {
    const char *from;  // for output pixel 0
    size_t step;
} gathered_row;

// Windows first ..< last of one output row. Always writes as much as the longest row has, which is faster: the next row
// of the window, or the next window, writes over the rest; weights of 0 meet what the last one leaves.
static inline __attribute__((always_inline)) void gather_windows(char *to, size_t pitch, const gathered_row *rows,
                                                                 size_t row_count, size_t row_size, size_t first,
                                                                 size_t last) {
    for (size_t x = first; x < last; x++)
        for (size_t y = 0; y < row_count; y++)
            memcpy(to + x * pitch + y * row_size, rows[y].from + x * rows[y].step, octet_longest_gathered_row);
}

// A window that lies partly beside the image, or at its very end.
static void gather_border(const octet_conv_plan *plan, char *window, const char *image, size_t row, size_t x,
                          uint8_t zero) {
    const octet_conv_shape *s = &plan->shape;
    const size_t row_size = s->kernel_w * s->in_c;
    const octet_taps rows = octet_taps_at(row, s->stride_h, s->pad_top, s->dilation_h, s->kernel_h, s->in_h);
    const octet_taps columns = octet_taps_at(x, s->stride_w, s->pad_left, 1, s->kernel_w, s->in_w);
    memset(window, zero, row_size * s->kernel_h);
    for (size_t y = rows.first; y < rows.last && columns.first < columns.last; y++) {
        const size_t line = (size_t)(rows.start + (ptrdiff_t)(y * s->dilation_h)) * s->in_w;
        const size_t column = (size_t)(columns.start + (ptrdiff_t)columns.first);
        memcpy(window + y * row_size + columns.first * s->in_c, image + (line + column) * s->in_c,
               (columns.last - columns.first) * s->in_c);
    }
}

// The windows of output rows `rows`, each of them brought together from its rows.
static void gather_strip(const octet_conv_plan *plan, const char *image, octet_conv_rows rows, uint8_t zero,
                         char *strip) {
    const octet_conv_shape *s = &plan->shape;
    const size_t row_size = s->kernel_w * s->in_c, pixel = s->in_c, line = s->in_w * pixel;
    const size_t pitch = plan->pixel_pitch;
    char outside[octet_longest_gathered_row];
    memset(outside, zero, sizeof outside);
    // Output pixels whose windows lie between the left and the right end of the image.
    const size_t left = s->pad_left > 0 ? (size_t)s->pad_left : 0;
    const size_t first = octet_smaller(octet_divide_up(left, s->stride_w), s->out_w);
    const ptrdiff_t room = (ptrdiff_t)(s->in_w - s->kernel_w) + s->pad_left;
    const size_t end = room < 0 ? 0 : octet_smaller(octet_quotient((size_t)room, s->stride_w) + 1, s->out_w);
    for (size_t row = rows.first; row < rows.last; row++, strip += plan->row_pitch) {
        gathered_row sources[octet_longest_gathered_row];
        size_t last = octet_larger(first, end);
        for (size_t y = 0; y < s->kernel_h; y++) {
            const ptrdiff_t at = (ptrdiff_t)(row * s->stride_h + y * s->dilation_h) - s->pad_top;
            if (at < 0 || at >= (ptrdiff_t)s->in_h) {
                sources[y] = (gathered_row){outside, 0};
                continue;
            }
            sources[y] = (gathered_row){image + ((ptrdiff_t)((size_t)at * s->in_w) - s->pad_left) * (ptrdiff_t)pixel,
                                        s->stride_w * pixel};
            // What is read too much must not lie beyond the image.
            const size_t left_bytes = (s->in_h - (size_t)at) * line;
            while (last > first && ((ptrdiff_t)((last - 1) * s->stride_w) - s->pad_left) * (ptrdiff_t)pixel +
                                           octet_longest_gathered_row >
                                       (ptrdiff_t)left_bytes)
                last--;
        }
        for (size_t x = 0; x < first; x++) gather_border(plan, strip + x * pitch, image, row, x, zero);
        if (s->kernel_h == 3) {
            gather_windows(strip, pitch, sources, 3, row_size, first, last);
        } else {
            gather_windows(strip, pitch, sources, s->kernel_h, row_size, first, last);
        }
        for (size_t x = last; x < s->out_w; x++) gather_border(plan, strip + x * pitch, image, row, x, zero);
    }
}

// What each run adds to where a pixel's window starts.
static void find_tap_offsets(const octet_conv_plan *plan, size_t *offsets) {
    const octet_conv_shape *s = &plan->shape;
    if (plan->taps == 1) {
        offsets[0] = 0;
        return;
    }
    const size_t across = plan->merged ? 1 : s->kernel_w;
    for (size_t y = 0; y < s->kernel_h; y++)
        for (size_t x = 0; x < across; x++)
            *offsets++ = y * s->dilation_h * plan->row_pitch + x * s->dilation_w * plan->pixel_pitch;
}

// Σ of what the windows of a tile hold.
static void sum_pixels(const octet_conv_plan *plan, const octet_tile *tile, int32_t *sums) {
    for (size_t i = 0; i < tile->rows; i++) {
        uint32_t sum = 0;
        for (size_t tap = 0; tap < tile->taps; tap++) {
            const uint8_t *run = (const uint8_t *)tile->row[i] + tile->tap_offsets[tap];
            // Activations are bytes, however they are stored: 16-bit ones have an upper half of 0.
            for (size_t j = 0; j < plan->run_length * plan->family->stored_size; j++) sum += run[j];
        }
        sums[i] = (int32_t)sum;
    }
}

// MARK: - Tiles

// Tiles over panels first ..< last of one group, for all pixels of rows line ..< end of the strip, whose outputs have
// one distance; `taps` are the kernel's rows that lie on the image there.
static void run_lines(const strip_work *work, size_t group, size_t first, size_t last, size_t line, size_t end,
                      octet_taps taps) {
    const octet_conv_plan *plan = work->plan;
    const octet_gemm_family *family = plan->family;
    const octet_conv_shape *s = &plan->shape;
    // Pixels of the first row that are there already.
    const size_t done = line == 0 ? work->done : 0, pixels = (end - line) * s->out_w - done;
    // Tiles of heights that differ by one at most, tall ones first.
    const size_t tiles = octet_divide_up(pixels, plan->tile_rows);
    const size_t height = octet_quotient(pixels, tiles), taller = pixels - height * tiles;
    const size_t width = height + (taller > 0) <= family->wide_mr ? family->wide_panels : family->panels;
    const char *row[most_tile_rows];
    int32_t sums[most_tile_rows];
    const size_t across = plan->merged ? 1 : s->kernel_w, skipped = taps.first * across;
    const size_t skipped_weights = skipped * plan->steps * family->kr * family->nr * family->weight_size;
    octet_tile tile = {
        .row = row,
        .tap_offsets = work->tap_offsets + skipped,
        .taps = plan->gathered ? 1 : (taps.last - taps.first) * across,
        .steps = plan->steps,
        .panel_stride = plan->panel_size,
        .epilogue = work->epilogue,
        .output_stride = plan->output_pixel,
    };
    // Where the output row of the next pixel starts to read.
    const char *from = work->activations + line * plan->line_step;
    if (group) from += group * octet_quotient(plan->pixel_pitch, s->groups);
    void (*const run)(const octet_tile *) = work->shifts ? family->magnitudes->tile : family->tile;
    size_t x = done;
    for (size_t i = 0, pixel = done; i < tiles; i++, pixel += tile.rows) {
        tile.rows = height + (i < taller);
        for (size_t r = 0; r < tile.rows; r++) {
            row[r] = from + x * plan->pixel_step;
            if (++x == s->out_w) x = 0, from += plan->line_step;
        }
        // (Its row is the tensor's last pixel.)
        if (plan->last_copied && i + 1 == tiles && work->rows.first + end == s->out_h) {
            memcpy(work->last, row[tile.rows - 1], plan->pixel_pitch);
            row[tile.rows - 1] = work->last;
        }
        if (work->shifts) tile.row_shifts = work->shifts + line + pixel;
        const size_t place =
            (work->rows.first + line) * plan->output_line + pixel * plan->output_pixel + group * plan->group_outputs;
        if (work->epilogue->weight_zero) {
            sum_pixels(plan, &tile, sums);
            tile.pixel_sums = sums;
        }
        for (size_t panel = first; panel < last; panel += width) {
            const size_t channel = panel * family->nr;
            tile.panels = octet_smaller(width, last - panel);
            tile.weights = work->packed + (group * plan->group_panels + panel) * plan->panel_size + plan->tile_start +
                           skipped_weights;
            tile.channel = group * plan->group_panels * family->nr + channel;
            tile.channels = octet_smaller(tile.panels * family->nr, plan->group_outputs - channel);
            tile.output = work->output + (place + channel) * work->output_size;
            tile.residual = work->residual ? work->residual + (place + channel) * family->source_size : NULL;
            run(&tile);
        }
    }
}

// The kernel's rows that have to be multiplied for a row of the strip. Those beside the image add nothing where padding
// is of zeros; that pays where it leaves whole tiles.
static octet_taps taps_of(const strip_work *work, size_t line) {
    const octet_conv_plan *plan = work->plan;
    const octet_conv_shape *s = &plan->shape;
    if (!work->skips_padding) return (octet_taps){0, s->kernel_h, 0};
    return octet_taps_at(work->rows.first + line, s->stride_h, s->pad_top, s->dilation_h, s->kernel_h, s->in_h);
}
static bool same_taps(octet_taps a, octet_taps b) { return a.first == b.first && a.last == b.last; }

// Panels first ..< last, counted through all groups, in blocks that the cache holds.
static void run_columns(const strip_work *work, size_t first, size_t last) {
    const octet_conv_plan *plan = work->plan;
    const size_t width = plan->family->wide_panels;
    size_t block = plan->group_panels;
    if (block * plan->panel_size > weight_block_bytes) {
        const size_t fitting = octet_quotient(octet_quotient(weight_block_bytes, plan->panel_size), width) * width;
        block = octet_larger(fitting, width);
    }
    const size_t lines = work->rows.last - work->rows.first;
    const bool dense = plan->output_line == plan->shape.out_w * plan->output_pixel;
    while (first < last) {
        const size_t group = octet_quotient(first, plan->group_panels), panel = first - group * plan->group_panels;
        const size_t count = octet_smaller(octet_smaller(block, last - first), plan->group_panels - panel);
        for (size_t line = 0, end; line < lines; line = end) {
            const octet_taps taps = taps_of(work, line);
            end = line + 1;
            // Rows whose outputs follow one another without a gap are one.
            while (dense && end < lines && same_taps(taps, taps_of(work, end))) end++;
            run_lines(work, group, panel, panel + count, line, end, taps);
        }
        first += count;
    }
}

// Panels first ..< last of the output rows of `work`: by chains as many pixels as are faster that way, the others (of
// several images those of the last one) by tiles.
static void run_strip(strip_work *work, const char *image, size_t images, uint8_t zero, bool may_chain, size_t first,
                      size_t last, char *scratch) {
    const octet_conv_plan *plan = work->plan;
    const octet_conv_shape *s = &plan->shape;
    const size_t image_pixels = (work->rows.last - work->rows.first) * s->out_w, pixels = images * image_pixels;
    const size_t chained = may_chain ? octet_chain_share(plan, work->packed, pixels) : 0;
    if (chained) {
        octet_chain_run(plan, image, images, zero, work->packed, work->epilogue, work->output, work->residual,
                        work->rows, chained, first, last, scratch);
        if (chained == pixels) return;
        const size_t before = images - 1, output = before * plan->output_image;
        image += before * s->in_h * s->in_w * s->in_c;
        work->output += output * work->output_size;
        if (work->residual) work->residual += output;
        const size_t done = chained - before * image_pixels, rows = done / s->out_w;
        work->rows.first += rows;
        work->done = done - rows * s->out_w;
    }
    if (plan->gathered) {
        gather_strip(plan, image, work->rows, zero, scratch);
        work->activations = scratch;
    } else if (plan->by_magnitudes && !work->epilogue->weight_zero) {
        int32_t *shifts = (int32_t *)(scratch + octet_conv_shifts_place(plan));
        store_rows(plan, image, work->rows, scratch, shifts);
        work->activations = scratch, work->shifts = shifts;
    } else if (plan->copied) {
        copy_strip(plan, image, work->rows, zero, scratch);
        work->activations = scratch;
    } else {
        work->activations = image + work->rows.first * plan->line_step;
    }
    run_columns(work, first, last);
}

void octet_conv_plan_run(const octet_conv_plan *plan, const void *input, uint8_t input_zero, const void *packed,
                         const octet_epilogue *epilogue, void *output, size_t tasks, size_t first, size_t last,
                         void *scratch) {
    const octet_gemm_family *family = plan->family;
    const octet_conv_shape *s = &plan->shape;
    const octet_conv_split split = octet_conv_split_make(plan, tasks);
    size_t *tap_offsets = scratch;
    char *strip = (char *)scratch + octet_conv_offsets_size(plan);
    find_tap_offsets(plan, tap_offsets);

    const size_t columns = s->groups * plan->group_panels;
    const size_t image_size = s->in_h * s->in_w * s->in_c * family->source_size;
    const size_t output_size = epilogue->output == OCTET_OUTPUT_UINT8 && family->source_size == 1 ? 1 : 4;
    const bool may_chain = family->chains && !epilogue->weight_zero && s->pad_top >= 0 && s->pad_left >= 0 &&
                           plan->output_pixel == s->out_c && plan->output_line == s->out_w * s->out_c;
    const bool skips_padding = input_zero == 0 && s->kernel_h > 1 && !plan->gathered &&
                               plan->header_size == plan->tile_start && 2 * s->out_w >= plan->tile_rows;
    // Chains of single pixels copy no strip, and want as many pixels as there are: all tasks at once.
    const bool joins = may_chain && octet_chain_is_pixelwise(plan) && plan->images == 1 && split.blocks == 1;
    // Those of small images want several of them.
    const bool whole = may_chain && plan->images > 1 && plan->output_image == s->out_h * plan->output_line &&
                       split.strips == 1 && split.blocks == 1;
    const size_t most_images = whole ? octet_chain_most_images(plan) : 1;
    for (size_t task = first, next; task < last; task = next) {
        const size_t index = octet_quotient(task, split.blocks), block = task - index * split.blocks;
        const size_t image = octet_quotient(index, split.strips);
        next = task + 1;
        strip_work work = {
            .plan = plan,
            .tap_offsets = tap_offsets,
            .packed = packed,
            .epilogue = epilogue,
            .output_size = output_size,
            .skips_padding = skips_padding,
            .last = strip,
            .rows = octet_conv_strip(plan, split.strips, index - image * split.strips),
        };
        work.output = (char *)output + image * plan->output_image * output_size;
        if (epilogue->residual)
            work.residual = (const char *)epilogue->residual + image * plan->output_image * family->source_size;
        if (joins) {
            const size_t end = octet_conv_strip(plan, split.strips, last - 1).last;
            if (octet_chain_share(plan, packed, end - work.rows.first)) work.rows.last = end, next = last;
        }
        size_t images = octet_smaller(most_images, last - task);
        if (images > 1) {
            if (!octet_chain_share(plan, packed, images * s->out_h * s->out_w)) images = 1;
            next = task + images;
        }
        run_strip(&work, (const char *)input + image * image_size, images, input_zero, may_chain,
                  octet_quotient(columns * block, split.blocks), octet_quotient(columns * (block + 1), split.blocks),
                  strip);
    }
}

void octet_conv_run(const octet_gemm_family *family, const octet_conv_shape *shape, size_t batch, const void *input,
                    uint8_t input_zero, const void *packed, const octet_epilogue *epilogue, void *output, size_t tasks,
                    size_t first, size_t last, void *scratch) {
    if (first < last && octet_conv_has_few_rows(family, shape, batch, epilogue)) {
        octet_conv_run_few_rows(family, shape, batch, input, packed, epilogue, output, tasks, first, last, scratch);
        return;
    }
    const octet_conv_plan plan = octet_conv_plan_make(family, shape, batch);
    octet_conv_plan_run(&plan, input, input_zero, packed, epilogue, output, tasks, first, last, scratch);
}

bool octet_epilogue_fits_int32(const octet_epilogue *epilogue, size_t channels, size_t depth) {
    for (size_t c = 0; c < channels; c++) {
        // (With zero points, weights are 9 bits.)
        const double most = 255.0 * 255.0 * (double)depth + fabs((double)epilogue->initial[c]);
        const double real = most * fabs((double)epilogue->scale[c]) + fabs((double)epilogue->bias[c]);
        const double residual = epilogue->residual ? 512.0 * fabs((double)epilogue->residual_scale) : 0;
        if (!(real + residual < 0x1p30)) return false;
    }
    return true;
}
