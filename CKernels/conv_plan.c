#include "conv_plan.h"

#include "conv_chain.h"

enum {
    // A strip stays in the second-level cache beside a block of weights.
    most_strip_bytes = 192 << 10,
    // Rows at such a distance compete for the same few lines of a first-level cache: tiles that read many rows at once
    // get a copy with another pitch.
    aliasing_pitch = 2048,
    cache_line = 64,
    // With several threads, this many tasks for each even out their speeds.
    tasks_per_thread = 4,
    fewest_chain_pixels = 48,
};

// A 1×1 convolution maps pixels to pixels, whatever image they are in: all of them make one image of width 1.
static bool is_pixelwise(const octet_conv_shape *s) {
    return s->kernel_h == 1 && s->kernel_w == 1 && s->stride_h == 1 && s->stride_w == 1 && s->pad_top == 0 &&
           s->pad_left == 0 && s->groups == 1 && s->in_h == s->out_h && s->in_w == s->out_w;
}

static bool has_padding(const octet_conv_shape *s) {
    return s->pad_top || s->pad_left || octet_conv_input_rows(s, s->out_h) > s->in_h ||
           octet_conv_input_columns(s) > s->in_w;
}

// Rows that a strip has a multiple of: whole tiles, or vectors, where a row is a single pixel.
static size_t strip_unit(const octet_conv_plan *plan) {
    if (plan->shape.out_w > 1) return 1;
    return plan->family->chains ? plan->family->chains->lanes : plan->family->mr;
}
// Chains broadcast weights for all pixels of a tile: rather than too few of these, a task has fewer channels.
static size_t most_strips(const octet_conv_plan *plan) {
    const size_t most = octet_divide_up(plan->shape.out_h, strip_unit(plan));
    if (!plan->family->chains) return most;
    return octet_smaller(most, octet_larger(plan->shape.out_h * plan->shape.out_w / fewest_chain_pixels, 1));
}

octet_conv_plan octet_conv_plan_make(const octet_gemm_family *family, const octet_conv_shape *shape, size_t batch) {
    octet_conv_plan plan = {.family = family, .shape = *shape, .images = batch};
    const bool pixelwise = is_pixelwise(shape);
    if (pixelwise) {
        plan.images = 1;
        plan.shape.in_h = plan.shape.out_h = batch * shape->in_h * shape->in_w;
        plan.shape.in_w = plan.shape.out_w = 1;
    }
    const octet_conv_shape *s = &plan.shape;

    plan.merged = s->groups == 1 && s->dilation_w == 1;
    plan.group_inputs = s->in_c / s->groups;
    plan.group_outputs = s->out_c / s->groups;
    plan.group_panels = octet_divide_up(plan.group_outputs, family->nr);
    plan.taps = plan.merged ? s->kernel_h : s->kernel_h * s->kernel_w;
    plan.run_length = plan.merged ? s->kernel_w * s->in_c : plan.group_inputs;
    plan.steps = octet_divide_up(plan.run_length, family->kr);
    plan.panel_size = plan.taps * plan.steps * family->kr * family->nr * family->weight_size;

    // A run that ends within a step reads beyond itself: harmless in scratch, where zero weights meet whatever follows.
    const bool whole_steps = plan.run_length % family->kr == 0;
    const size_t pixel_bytes = s->in_c * family->source_size;
    const bool aliases = pixelwise && pixel_bytes % aliasing_pitch == 0;
    plan.copied = family->stored_size != family->source_size || !whole_steps || has_padding(s) || aliases;
    if (plan.copied) {
        const bool dense = plan.merged || whole_steps;
        plan.pixel_pitch = (dense ? s->in_c : s->groups * plan.steps * family->kr) * family->stored_size;
        plan.row_pitch = octet_conv_input_columns(s) * plan.pixel_pitch;
        if (pixelwise && plan.row_pitch % aliasing_pitch == 0) plan.row_pitch += cache_line;
    } else {
        plan.pixel_pitch = pixel_bytes;
        plan.row_pitch = s->in_w * pixel_bytes;
    }

    // The rows whose inputs fit, and at least one (one tile where rows are single pixels).
    // (Without an image, as when weights are packed, a pitch can be anything, 0 among others.)
    const size_t fitting = plan.row_pitch ? most_strip_bytes / plan.row_pitch : 0;
    const size_t reach = octet_conv_input_rows(s, 1);
    plan.strip_rows = fitting > reach ? (fitting - reach) / s->stride_h + 1 : 1;
    plan.strip_rows = octet_round_up(plan.strip_rows, strip_unit(&plan));
    if (!pixelwise) plan.strip_rows = octet_smaller(plan.strip_rows, octet_larger(s->out_h, 1));
    return plan;
}

octet_conv_split octet_conv_split_make(const octet_conv_plan *plan, size_t tasks) {
    const size_t per_image = tasks / plan->images, most = most_strips(plan);
    if (per_image <= most) return (octet_conv_split){per_image, 1};
    return (octet_conv_split){most, per_image / most};
}

octet_conv_rows octet_conv_strip(const octet_conv_plan *plan, size_t strips, size_t strip) {
    const size_t unit = strip_unit(plan);
    const size_t units = octet_divide_up(plan->shape.out_h, unit);
    return (octet_conv_rows){units * strip / strips * unit,
                             octet_smaller(units * (strip + 1) / strips * unit, plan->shape.out_h)};
}

size_t octet_conv_tasks(const octet_gemm_family *family, const octet_conv_shape *shape, size_t batch, size_t threads) {
    if (batch == 0 || shape->out_h == 0 || shape->out_w == 0) return 0;
    const octet_conv_plan plan = octet_conv_plan_make(family, shape, batch);
    const size_t most = most_strips(&plan);
    size_t strips = octet_smaller(octet_divide_up(plan.shape.out_h, plan.strip_rows), most), blocks = 1;
    if (threads > 1) {
        // As many for each thread; many are handed out some at a time.
        const size_t multiple =
            plan.images * strips < tasks_per_thread * threads ? threads : tasks_per_thread * threads;
        const size_t wanted = octet_divide_up(octet_round_up(plan.images * strips, multiple), plan.images);
        strips = octet_smaller(wanted, most);
        // Columns only where there are not enough rows: every block of panels copies the strip again.
        if (strips == most && plan.images * strips < threads) {
            const size_t widest = family->wide_panels;
            blocks = octet_smaller(octet_divide_up(threads, plan.images * strips),
                                   octet_divide_up(shape->groups * plan.group_panels, widest));
        }
    }
    return plan.images * strips * octet_larger(blocks, 1);
}

size_t octet_conv_padded_channels(const octet_gemm_family *family, const octet_conv_shape *shape) {
    return octet_round_up(shape->out_c / shape->groups, family->nr) * shape->groups;
}

size_t octet_conv_packed_size(const octet_gemm_family *family, const octet_conv_shape *shape) {
    const octet_conv_plan plan = octet_conv_plan_make(family, shape, 1);
    const octet_chain_layout chains = octet_chain_layout_make(&plan);
    return chains.possible ? chains.end : plan.panel_size * plan.group_panels * shape->groups;
}

size_t octet_conv_scratch_size(const octet_gemm_family *family, const octet_conv_shape *shape) {
    // The batch decides only how many rows there are, not how many a strip has.
    const octet_conv_plan plan = octet_conv_plan_make(family, shape, 1);
    const size_t offsets = octet_round_up(plan.taps * sizeof(size_t), cache_line);
    size_t strip = 0;
    if (plan.copied) {
        const size_t rows = octet_conv_input_rows(&plan.shape, plan.strip_rows);
        strip = octet_round_up(rows * plan.row_pitch + family->kr * family->stored_size, cache_line);
    }
    return offsets + octet_larger(strip, octet_chain_scratch_size(&plan));
}
