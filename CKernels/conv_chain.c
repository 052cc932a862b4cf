// The loop nest of chains. A strip becomes planes [quad of channels][rows · columns][4] once; each tile of pixels
// copies what one block of quads reads of it into a panel, where every channel's chains find it aligned and in the
// cache.
#include "conv_chain.h"

#include <string.h>

enum {
    // Channels whose sums wait while blocks of quads pass.
    most_waiting = 256,
    // gather reads whole vectors, at a stride of two two of them.
    gather_overrun = 128,
    cache_line = 64,
    // A vector holds this many pixels; rows are copied in too short pieces.
    fewest_pixels = 8,
    shortest_run = 4,
    // So many pixels take less time by themselves than a vector of them.
    most_left_over = 3,
    // Images make one strip until they have so many pixels, or their inputs so many bytes.
    joined_pixels = 8 * octet_chain_pixels,
    most_joined_bytes = 192 << 10,
};
// Cycles for a vector of four products, measured on Zen 4 (on magnitudes: Zen 3): of a link and of a chain, of finding
// a link's weights and place (once for all vectors of a tile; more if the second-level cache does not hold them), of
// bringing a quad into a panel; and of the same by vpmaddwd (or on magnitudes), where finishing a sum takes longer by
// so much, and of a single pixel.
static const float link_cost = 0.7F, chain_cost = 0.36F, link_start = 0.6F, far_link_start = 0.9F, panel_cost = 2;
static const float wide_cost = 1.42F, magnitudes_cost = 1.28F, wide_finish = 2.5F, lone_cost = 0.27F;
// Of a quad in int16, and of one by every second weight.
static const float pairs_cost = 1.1F, halves_cost = 2;

// What all tiles of a strip share. The strip is planes, or rows of bytes where quads are bytes of kernel rows.
typedef struct {
    const octet_conv_plan *plan;
    octet_chain_layout layout;
    const octet_chain_kernel *kernel;
    const octet_epilogue *epilogue;
    const char *packed;
    const char *image;  // the first one
    size_t images;
    char *output;
    const char *residual;
    octet_conv_rows rows;
    size_t output_size;
    size_t columns, plane_pitch;
    size_t *offsets;  // where each quad of a channel lies, from where the window starts
    uint8_t *panel, *strip;
    const uint8_t *end;  // of the last image
    int32_t *sums;
} chain_work;

// A tile reads pixels as they are where no window reaches a second one.
bool octet_chain_is_pixelwise(const octet_conv_plan *plan) {
    const octet_conv_shape *s = &plan->shape;
    return s->kernel_h == 1 && s->kernel_w == 1 && s->in_w == 1 && s->out_w == 1 && s->in_h == s->out_h &&
           !s->pad_top && !s->pad_left && s->stride_h == 1;
}

// Input pixels of `rows` output rows of each image.
static size_t strip_pixels(const octet_conv_plan *plan, size_t rows) {
    return octet_conv_input_rows(&plan->shape, rows) * octet_conv_input_columns(&plan->shape);
}
static size_t plane_pitch(const octet_conv_plan *plan, size_t images, size_t rows) {
    // An odd number of cache lines, so that planes do not compete for the same few; to_quads writes whole vectors.
    const size_t size = images * strip_pixels(plan, rows) * 4 + plan->family->chains->lanes * 4;
    return octet_round_up(size, cache_line) | cache_line;
}
static size_t strip_size(const octet_chain_layout *l, const octet_conv_plan *plan, size_t images, size_t rows) {
    const octet_conv_shape *s = &plan->shape;
    const size_t overrun = plan->family->chains->lanes * s->stride_w * s->in_c + 16;  // what rows_to_quads may read
    if (l->rows) return images * strip_pixels(plan, rows) * s->in_c + overrun;
    return s->groups * l->group_quads * plane_pitch(plan, images, rows) + gather_overrun;
}

size_t octet_chain_most_images(const octet_conv_plan *plan) {
    const octet_conv_shape *s = &plan->shape;
    const octet_chain_layout l = octet_chain_layout_make(plan);
    // (What is left over must be of the last image.)
    const size_t pixels = s->out_h * s->out_w;
    if (!l.possible || octet_chain_is_pixelwise(plan) || plan->strip_rows < s->out_h || s->out_w < shortest_run ||
        pixels == 0 || pixels >= joined_pixels)
        return 1;
    const size_t filling = octet_divide_up(joined_pixels, pixels);
    const size_t fitting = most_joined_bytes / strip_size(&l, plan, 1, s->out_h);
    const size_t most = octet_smaller(filling, fitting), lanes = plan->family->chains->lanes;
    // Whole vectors, whatever an image has.
    return most > lanes ? most / lanes * lanes : octet_larger(most, 1);
}

static size_t sums_size(const octet_chain_layout *l, const octet_conv_plan *plan) {
    const size_t channels = l->blocks == 1 ? octet_chain_finished : octet_smaller(plan->group_outputs, most_waiting);
    return channels * octet_chain_pixels * sizeof(int32_t);
}
static size_t offsets_size(const octet_chain_layout *l) {
    return octet_round_up(l->quads * sizeof(size_t), cache_line);
}
static size_t panel_size(const octet_chain_layout *l) {
    const size_t rows = l->paired ? 3 * l->quads : octet_divide_up(l->quads, l->blocks);
    return rows * octet_chain_pitch + cache_line;
}

size_t octet_chain_scratch_size(const octet_conv_plan *plan) {
    const octet_chain_layout l = octet_chain_layout_make(plan);
    if (!l.possible) return 0;
    const size_t tile = panel_size(&l) + sums_size(&l, plan);
    if (octet_chain_is_pixelwise(plan)) return tile;
    const size_t images = octet_chain_most_images(plan), rows = images > 1 ? plan->shape.out_h : plan->strip_rows;
    return tile + offsets_size(&l) + strip_size(&l, plan, images, rows);
}

size_t octet_chain_share(const octet_conv_plan *plan, const char *packed, size_t all) {
    if (all < fewest_pixels) return 0;
    const octet_chain_layout l = octet_chain_layout_make(plan);
    if (!l.possible) return 0;
    if (plan->shape.out_w < shortest_run && !octet_chain_is_pixelwise(plan)) return 0;
    octet_chain_header header;
    memcpy(&header, packed + l.offset, sizeof header);
    if (header.links + header.others == 0) return 0;

    const size_t lanes = plan->family->chains->lanes;
    const size_t over = all % lanes <= most_left_over ? all % lanes : 0, pixels = all - over;
    const float vectors = (float)octet_divide_up(pixels, lanes),
                tiles = (float)octet_divide_up(pixels, octet_chain_pixels);
    const float products = (float)(plan->group_inputs * l.taps);
    const float link_size = l.refers ? 4 + sizeof(octet_chain_reference) : sizeof(octet_chain_link);
    const bool near = header.links * link_size * products / 4 * (float)plan->shape.out_c < octet_chain_near_bytes;
    const float links = header.links * (link_cost * vectors + (near ? link_start : far_link_start) * tiles);
    const float chains = header.chains * chain_cost * vectors + panel_cost * vectors / (float)plan->group_outputs;
    const float others = header.others * ((l.refers ? halves_cost : pairs_cost) * vectors + link_start * tiles);
    const float padded = (float)(plan->taps * plan->steps * plan->family->kr) / products;
    const float step = plan->by_magnitudes ? magnitudes_cost : wide_cost;
    const float wide = (step * padded + 4 * wide_finish / products) / (float)lanes;
    return links + chains + others + lone_cost * (float)over < wide * (float)all ? pixels : 0;
}

// MARK: - Activations

// The parts of a padded row: the border at the left, what is on the image, the border at the right.
typedef struct {
    size_t left, inside, right;
} row_parts;
static row_parts parts_of(const chain_work *work) {
    const octet_conv_shape *s = &work->plan->shape;
    const size_t left = octet_smaller(s->pad_left, work->columns);
    const size_t inside = octet_smaller(s->in_w, work->columns - left);
    return (row_parts){left, inside, work->columns - left - inside};
}
static size_t input_rows(const chain_work *work) {
    return octet_conv_input_rows(&work->plan->shape, work->rows.last - work->rows.first);
}
// Row i of the strip in its image, or NULL: it is all border.
static const uint8_t *image_row(const chain_work *work, size_t i) {
    const octet_conv_shape *s = &work->plan->shape;
    const size_t image = i / input_rows(work), row = i % input_rows(work);
    const ptrdiff_t y = (ptrdiff_t)(work->rows.first * s->stride_h + row) - (ptrdiff_t)s->pad_top;
    if (y < 0 || y >= (ptrdiff_t)s->in_h) return NULL;
    return (const uint8_t *)work->image + (image * s->in_h + (size_t)y) * s->in_w * s->in_c;
}

// The strip as it lies in the tensor, or NULL: something is between its rows or around them.
static const uint8_t *dense_strip(const chain_work *work) {
    const octet_conv_shape *s = &work->plan->shape;
    const ptrdiff_t top = (ptrdiff_t)(work->rows.first * s->stride_h) - s->pad_top;
    const size_t count = input_rows(work);
    const bool inside = top >= 0 && (size_t)top + count <= s->in_h && s->pad_left == 0 && work->columns == s->in_w;
    if (!inside || (work->images > 1 && count != s->in_h)) return NULL;
    return (const uint8_t *)work->image + (size_t)top * s->in_w * s->in_c;
}

// `count` pixels of all channels, to the same place of every plane.
static void to_planes(const chain_work *work, uint8_t *to, const uint8_t *from, size_t count) {
    const octet_conv_plan *plan = work->plan;
    const size_t inputs = plan->group_inputs, pitch = work->plane_pitch;
    for (size_t group = 0; group < plan->shape.groups; group++)
        work->kernel->to_quads(to + group * work->layout.group_quads * pitch, pitch, from + group * inputs,
                               plan->shape.in_c, count, inputs, work->end);
}

static void make_planes(const chain_work *work, uint8_t zero) {
    const octet_conv_shape *s = &work->plan->shape;
    const size_t columns = work->columns, quads = s->groups * work->layout.group_quads;
    const size_t count = work->images * input_rows(work);
    const uint8_t *dense = dense_strip(work);
    if (dense) {
        to_planes(work, work->strip, dense, count * columns);
        return;
    }
    const row_parts parts = parts_of(work);
    for (size_t i = 0; i < count; i++) {
        uint8_t *row = work->strip + i * columns * 4;
        const uint8_t *from = image_row(work, i);
        if (from) to_planes(work, row + parts.left * 4, from, parts.inside);
        for (size_t quad = 0; quad < quads; quad++) {
            uint8_t *to = row + quad * work->plane_pitch;
            memset(to, zero, (from ? parts.left : columns) * 4);
            if (from) memset(to + (parts.left + parts.inside) * 4, zero, parts.right * 4);
        }
    }
}

static void make_rows(const chain_work *work, uint8_t zero) {
    const octet_conv_shape *s = &work->plan->shape;
    const size_t count = work->images * input_rows(work), size = s->in_c, row_size = work->columns * size;
    const uint8_t *dense = dense_strip(work);
    if (dense) {
        memcpy(work->strip, dense, count * row_size);
        return;
    }
    const row_parts parts = parts_of(work);
    for (size_t i = 0; i < count; i++) {
        uint8_t *row = work->strip + i * row_size;
        const uint8_t *from = image_row(work, i);
        memset(row, zero, from ? parts.left * size : row_size);
        if (!from) continue;
        memcpy(row + parts.left * size, from, parts.inside * size);
        memset(row + (parts.left + parts.inside) * size, zero, parts.right * size);
    }
}

static void find_offsets(const chain_work *work) {
    const octet_conv_shape *s = &work->plan->shape;
    size_t *offset = work->offsets;
    for (size_t y = 0; y < s->kernel_h; y++)
        for (size_t x = 0; x < s->kernel_w; x++)
            for (size_t quad = 0; quad < work->layout.group_quads; quad++)
                *offset++ = quad * work->plane_pitch + (y * s->dilation_h * work->columns + x * s->dilation_w) * 4;
}

// The runs of output pixels first ..< last, counted from the first row of the strip.
static size_t find_runs(const chain_work *work, size_t first, size_t last, octet_chain_run_of_pixels *runs) {
    const octet_conv_shape *s = &work->plan->shape;
    const size_t pixel_size = work->layout.rows ? s->in_c : 4, row_size = work->columns * pixel_size;
    const size_t lines = work->rows.last - work->rows.first, next_image = input_rows(work) * row_size;
    size_t x = first % s->out_w, line = first / s->out_w % lines;
    size_t image = first / s->out_w / lines * next_image;
    size_t count = 0;
    for (size_t pixel = first; pixel < last; count++) {
        const size_t length = octet_smaller(s->out_w - x, last - pixel);
        runs[count] = (octet_chain_run_of_pixels){
            .from = image + line * s->stride_h * row_size + x * s->stride_w * pixel_size,
            .to = (pixel - first) * 4,
            .count = length,
        };
        pixel += length;
        x = 0;
        if (++line == lines) line = 0, image += next_image;
    }
    return count;
}

// One block of quads of one group, for output pixels first ..< last.
static void fill_panel(const chain_work *work, size_t group, size_t block, size_t first, size_t last,
                       const octet_chain_run_of_pixels *runs, size_t run_count) {
    const octet_conv_plan *plan = work->plan;
    const octet_conv_shape *s = &plan->shape;
    const octet_chain_layout *l = &work->layout;
    const size_t end = octet_chain_block(l, block + 1);
    const size_t k = octet_chain_block(l, block);
    if (octet_chain_is_pixelwise(plan)) {
        const size_t channel = 4 * k, channels = octet_smaller(4 * end, plan->group_inputs) - channel;
        const char *from = work->image + (work->rows.first + first) * s->in_c + group * plan->group_inputs + channel;
        work->kernel->to_quads(work->panel, octet_chain_pitch, (const uint8_t *)from, s->in_c, last - first, channels,
                               work->end);
    } else if (l->rows) {
        for (size_t i = 0; i < run_count; i++)
            work->kernel->rows_to_quads(work->panel + runs[i].to, l, work->strip + runs[i].from,
                                        s->dilation_h * work->columns * s->in_c, s->stride_w * s->in_c, s->kernel_h,
                                        runs[i].count);
    } else {
        const uint8_t *planes = work->strip + group * l->group_quads * work->plane_pitch;
        work->kernel->gather(work->panel, planes, work->offsets + k, end - k, runs, run_count, s->stride_w);
    }
}

// MARK: - Tiles

// Output pixels first ..< last and channels channel ..< end of one group.
static void run_tile(const chain_work *work, size_t group, size_t first, size_t last, size_t channel, size_t end) {
    const octet_conv_plan *plan = work->plan;
    const octet_conv_shape *s = &plan->shape;
    const octet_chain_layout *l = &work->layout;
    const octet_gemm_family *family = plan->family;
    const size_t padded = plan->group_panels * family->nr;
    const octet_chain_entry *entries = (const octet_chain_entry *)(work->packed + l->entries);
    octet_chain_run_of_pixels runs[octet_chain_pixels];
    const size_t run_count = octet_chain_is_pixelwise(plan) ? 0 : find_runs(work, first, last, runs);
    const size_t waiting = l->blocks == 1 ? end - channel : most_waiting;
    for (; channel < end; channel += waiting) {
        const size_t stop = octet_smaller(channel + waiting, end);
        for (size_t block = 0; block < l->blocks; block++) {
            fill_panel(work, group, block, first, last, runs, run_count);
            const bool finishes = block + 1 == l->blocks;
            const size_t first_quad = octet_chain_block(l, block);
            const size_t step = finishes ? octet_chain_finished : stop - channel;
            for (size_t c = channel; c < stop; c += step) {
                octet_chain_tile tile = {
                    .vectors = octet_divide_up(last - first, work->kernel->lanes),
                    .panel = work->panel,
                    .entries = entries + (group * l->blocks + block) * plan->group_outputs + c,
                    .quads = octet_chain_block(l, block + 1) - first_quad,
                    .channels = octet_smaller(step, stop - c),
                    .initial = block == 0 ? work->epilogue->initial + group * padded + c : NULL,
                    .sums = work->sums + (l->blocks == 1 ? 0 : c - channel) * octet_chain_pixels,
                };
                if (l->refers) {
                    const size_t panel = group * plan->group_panels + c / family->nr;
                    tile.references = (const octet_chain_reference *)(work->packed + l->links);
                    tile.weights = work->packed + panel * plan->panel_size + plan->header_size +
                                   first_quad * family->nr * family->kr;
                    tile.weights_pitch = plan->panel_size;
                } else {
                    tile.links = (const octet_chain_link *)(work->packed + l->links);
                }
                if (!finishes) {
                    work->kernel->tile(&tile);
                    continue;
                }
                const size_t pixel = work->rows.first * s->out_w + first;
                const size_t place = pixel * s->out_c + group * plan->group_outputs + c;
                const octet_tile finished = {
                    .rows = last - first,
                    .epilogue = work->epilogue,
                    .channel = group * padded + c,
                    .channels = tile.channels,
                    .output = work->output + place * work->output_size,
                    .residual = work->residual ? work->residual + place : NULL,
                    .output_stride = s->out_c,
                };
                work->kernel->finish(&tile, &finished);
            }
        }
    }
}

void octet_chain_run(const octet_conv_plan *plan, const char *image, size_t images, uint8_t zero, const char *packed,
                     const octet_epilogue *epilogue, char *output, const char *residual, octet_conv_rows rows,
                     size_t pixels, size_t first, size_t last, char *scratch) {
    const octet_chain_layout layout = octet_chain_layout_make(plan);
    chain_work work = {
        .plan = plan,
        .layout = layout,
        .kernel = plan->family->chains,
        .epilogue = epilogue,
        .packed = packed,
        .image = image,
        .images = images,
        .end = (const uint8_t *)image + images * plan->shape.in_h * plan->shape.in_w * plan->shape.in_c,
        .output = output,
        .residual = residual,
        .rows = rows,
        .output_size = epilogue->output == OCTET_OUTPUT_UINT8 ? 1 : 4,
        .columns = octet_conv_input_columns(&plan->shape),
        .plane_pitch = plane_pitch(plan, images, rows.last - rows.first),
        .panel = (uint8_t *)scratch,
    };
    work.sums = (int32_t *)(scratch + panel_size(&layout));
    if (!octet_chain_is_pixelwise(plan)) {
        char *rest = (char *)work.sums + sums_size(&layout, plan);
        work.offsets = (size_t *)rest;
        work.strip = (uint8_t *)rest + offsets_size(&layout);
        if (layout.rows) {
            make_rows(&work, zero);
        } else {
            find_offsets(&work);
            make_planes(&work, zero);
        }
    }

    const size_t lanes = work.kernel->lanes;
    const size_t vectors = octet_divide_up(pixels, lanes), tiles = octet_divide_up(pixels, octet_chain_pixels);
    for (size_t i = 0; i < tiles; i++) {
        const size_t from = vectors * i / tiles * lanes;
        const size_t to = octet_smaller(vectors * (i + 1) / tiles * lanes, pixels);
        for (size_t panel = first; panel < last;) {
            const size_t group = panel / plan->group_panels, start = panel % plan->group_panels;
            const size_t stop = octet_smaller(plan->group_panels, start + last - panel);
            run_tile(&work, group, from, to, start * plan->family->nr,
                     octet_smaller(stop * plan->family->nr, plan->group_outputs));
            panel += stop - start;
        }
    }
}
