#include "conv_plan.h"

#include "conv_chain.h"

enum {
    // A strip stays in the second-level cache beside a block of weights; windows that are brought together stay in the
    // first-level one.
    most_strip_bytes = 192 << 10,
    most_gathered_bytes = 16 << 10,
    // Rows at such a distance compete for the same few lines of a first-level cache: tiles that read many rows at once
    // get a copy with another pitch.
    aliasing_pitch = 2048,
    cache_line = 64,
    // With several threads, this many tasks for each even out their speeds.
    tasks_per_thread = 4,
    // Waking another thread costs as much as this many multiplications.
    least_task_products = 100000,
    // Windows of so few steps leave the end of a tile as long as the rest of it.
    short_steps = 64,
    // Storing magnitudes takes longer than widening; long rows and many channels make up for it.
    least_magnitudes = 256,
    least_magnitude_channels = 128,
    // Chains broadcast weights for all pixels of a tile: rather than too few of these, a task has fewer channels.
    fewest_chain_pixels = 48,
};

bool octet_conv_is_pixelwise(const octet_conv_shape *s) {
    return s->kernel_h == 1 && s->kernel_w == 1 && s->stride_h == 1 && s->stride_w == 1 && s->pad_top == 0 &&
           s->pad_left == 0 && s->groups == 1 && s->in_h == s->out_h && s->in_w == s->out_w;
}

static bool has_padding(const octet_conv_shape *s) {
    return s->pad_top || s->pad_left || octet_conv_input_rows(s, s->out_h) > s->in_h ||
           octet_conv_input_columns(s) > s->in_w;
}

// Rows that a strip has a multiple of: whole vectors where chains take single pixels.
static size_t strip_unit(const octet_conv_plan *plan) {
    return plan->shape.out_w == 1 && plan->family->chains ? plan->family->chains->lanes : 1;
}

static octet_conv_plan make_plan(const octet_gemm_family *family, const octet_conv_shape *shape, size_t batch,
                                 bool pixelwise) {
    octet_conv_plan plan = {.family = family, .shape = *shape, .images = batch};
    if (pixelwise) {
        plan.images = 1;
        plan.shape.in_h = plan.shape.out_h = batch * shape->in_h * shape->in_w;
        plan.shape.in_w = plan.shape.out_w = 1;
    }
    const octet_conv_shape *s = &plan.shape;
    plan.output_pixel = s->out_c;
    plan.output_line = s->out_w * s->out_c;
    plan.output_image = s->out_h * plan.output_line;

    plan.merged = s->groups == 1 && s->dilation_w == 1;
    plan.group_inputs = octet_quotient(s->in_c, s->groups);
    plan.group_outputs = octet_quotient(s->out_c, s->groups);
    plan.group_panels = octet_divide_up(plan.group_outputs, family->nr);
    plan.taps = plan.merged ? s->kernel_h : s->kernel_h * s->kernel_w;
    plan.run_length = plan.merged ? s->kernel_w * s->in_c : plan.group_inputs;
    plan.steps = octet_divide_up(plan.run_length, family->kr);
    // First layers have rows of a few bytes, each of which would end within a step.
    if (plan.merged && s->kernel_h > 1 && s->kernel_h <= octet_longest_gathered_row && family->stored_size == 1 &&
        plan.run_length <= octet_longest_gathered_row) {
        const size_t steps = octet_divide_up(plan.run_length * s->kernel_h, family->kr);
        if (steps < plan.taps * plan.steps) {
            plan.gathered = true;
            plan.taps = 1;
            plan.run_length *= s->kernel_h;
            plan.steps = steps;
        }
    }
    plan.header_size = octet_conv_header_size(family);
    plan.tile_start = octet_conv_tile_start(family);
    plan.panel_size = octet_conv_panel_size(family, plan.taps * plan.steps);
    plan.tile_rows = plan.taps * plan.steps < short_steps ? family->short_mr : family->mr;
    plan.by_magnitudes =
        pixelwise && family->magnitudes && s->in_c >= least_magnitudes && s->out_c >= least_magnitude_channels;
    if (plan.by_magnitudes) plan.tile_rows = family->magnitudes->mr;

    // A run that ends within a step reads beyond itself: harmless where zero weights meet whatever follows, but the
    // last pixel of a tensor has nothing behind it.
    const bool whole_steps = octet_round_up(plan.run_length, family->kr) == plan.run_length;
    const size_t pixel_bytes = s->in_c * family->source_size;
    const bool aliases = pixelwise && pixel_bytes % aliasing_pitch == 0;
    plan.last_copied = pixelwise && !whole_steps && !aliases && plan.run_length >= family->kr &&
                       family->stored_size == family->source_size;
    plan.copied = plan.gathered || family->stored_size != family->source_size || (!whole_steps && !plan.last_copied) ||
                  has_padding(s) || aliases;
    if (plan.gathered) {
        plan.pixel_pitch = octet_round_up(plan.run_length, octet_longest_gathered_row);
        plan.row_pitch = s->out_w * plan.pixel_pitch;
    } else if (plan.copied) {
        const bool dense = !plan.by_magnitudes && (plan.merged || whole_steps);
        plan.pixel_pitch = (dense ? s->in_c : s->groups * plan.steps * family->kr) * family->stored_size;
        plan.row_pitch = octet_conv_input_columns(s) * plan.pixel_pitch;
        if (pixelwise && plan.row_pitch % aliasing_pitch == 0) plan.row_pitch += cache_line;
    } else {
        plan.pixel_pitch = pixel_bytes;
        plan.row_pitch = s->in_w * pixel_bytes;
    }
    plan.pixel_step = plan.gathered ? plan.pixel_pitch : s->stride_w * plan.pixel_pitch;
    plan.line_step = plan.gathered ? plan.row_pitch : s->stride_h * plan.row_pitch;

    // The rows whose inputs fit, and at least one (one tile where rows are single pixels).
    // (Without an image, as when weights are packed, a pitch can be anything, 0 among others.)
    const size_t most = plan.gathered ? most_gathered_bytes : most_strip_bytes;
    const size_t fitting = plan.row_pitch ? octet_quotient(most, plan.row_pitch) : 0;
    const size_t reach = plan.gathered ? 1 : octet_conv_input_rows(s, 1);
    plan.strip_rows = fitting > reach ? octet_quotient(fitting - reach, plan.gathered ? 1 : s->stride_h) + 1 : 1;
    if (s->out_w == 1) plan.strip_rows = octet_round_up(plan.strip_rows, octet_larger(strip_unit(&plan), family->mr));
    if (!pixelwise) plan.strip_rows = octet_smaller(plan.strip_rows, octet_larger(s->out_h, 1));
    return plan;
}

octet_conv_plan octet_conv_plan_make(const octet_gemm_family *family, const octet_conv_shape *shape, size_t batch) {
    return make_plan(family, shape, batch, octet_conv_is_pixelwise(shape));
}
octet_conv_plan octet_conv_plan_make_unfolded(const octet_gemm_family *family, const octet_conv_shape *shape,
                                              size_t batch) {
    return make_plan(family, shape, batch, false);
}

// MARK: - Tasks

static size_t columns(const octet_conv_plan *plan) { return plan->shape.groups * plan->group_panels; }

static size_t fewest_strips(const octet_conv_plan *plan) {
    return octet_divide_up(plan->shape.out_h, plan->strip_rows);
}

// Of all ways to divide an image into so many tasks, that with the smallest largest one; {0, 0} if there is none. Every
// block of panels copies its strip again, and few rows make less of each weight: strips are preferred unless blocks are
// clearly more even.
static octet_conv_split best_split(const octet_conv_plan *plan, size_t tasks) {
    const size_t least_strips = fewest_strips(plan);
    const size_t units = octet_divide_up(plan->shape.out_h, strip_unit(plan));
    size_t most = units;
    if (plan->family->chains)
        most = octet_larger(plan->shape.out_h * plan->shape.out_w / fewest_chain_pixels, least_strips);
    octet_conv_split best = {0, 0};
    size_t least = SIZE_MAX;
    for (size_t blocks = 1; blocks <= tasks && blocks <= columns(plan); blocks++) {
        const size_t strips = tasks / blocks;
        if (strips * blocks != tasks || strips > units || strips > most || strips < least_strips) continue;
        const size_t work = octet_divide_up(units, strips) * (16 * octet_divide_up(columns(plan), blocks) + 1);
        if (work < least - least / 32) best = (octet_conv_split){strips, blocks}, least = work;
    }
    return best;
}

octet_conv_split octet_conv_split_make(const octet_conv_plan *plan, size_t tasks) {
    if (tasks == plan->images) return (octet_conv_split){1, 1};
    return best_split(plan, octet_quotient(tasks, plan->images));
}

octet_conv_rows octet_conv_strip(const octet_conv_plan *plan, size_t strips, size_t strip) {
    if (strips == 1) return (octet_conv_rows){0, plan->shape.out_h};
    const size_t unit = strip_unit(plan), rows = plan->shape.out_h, units = octet_divide_up(rows, unit);
    return (octet_conv_rows){octet_quotient(units * strip, strips) * unit,
                             octet_smaller(octet_quotient(units * (strip + 1), strips) * unit, rows)};
}

size_t octet_conv_plan_tasks(const octet_conv_plan *plan, size_t threads) {
    const octet_conv_shape *s = &plan->shape;
    if (plan->images == 0 || s->out_h == 0 || s->out_w == 0) return 0;
    const size_t least = plan->images * fewest_strips(plan);
    if (threads == 1) return least;
    const size_t products = s->out_h * s->out_w * columns(plan) * plan->family->nr * plan->taps * plan->run_length;
    const size_t worth = plan->images * products / least_task_products;
    // As many for each image, whatever their number.
    // Many tasks are handed out some at a time.
    const size_t multiple = least < tasks_per_thread * threads ? threads : tasks_per_thread * threads;
    size_t per_image = octet_divide_up(octet_smaller(octet_round_up(least, multiple), worth), plan->images);
    while (per_image > fewest_strips(plan) && best_split(plan, per_image).strips == 0) per_image--;
    return octet_larger(per_image, fewest_strips(plan)) * plan->images;
}

// MARK: - Sizes

size_t octet_conv_offsets_size(const octet_conv_plan *plan) {
    return octet_round_up(plan->taps * sizeof(size_t), cache_line);
}

static size_t copied_rows(const octet_conv_plan *plan) {
    return plan->gathered ? plan->strip_rows : octet_conv_input_rows(&plan->shape, plan->strip_rows);
}

size_t octet_conv_shifts_place(const octet_conv_plan *plan) {
    return octet_round_up(copied_rows(plan) * plan->row_pitch + octet_longest_gathered_row, cache_line);
}

size_t octet_conv_strip_size(const octet_conv_plan *plan) {
    if (!plan->copied && !plan->last_copied) return 0;
    if (plan->last_copied) return octet_round_up(plan->pixel_pitch + plan->family->kr, cache_line);
    const size_t shifts = plan->by_magnitudes ? copied_rows(plan) * sizeof(int32_t) : 0;
    return octet_conv_shifts_place(plan) + octet_round_up(shifts, cache_line);
}

size_t octet_conv_plan_scratch_size(const octet_conv_plan *plan) {
    const size_t strip = octet_conv_strip_size(plan);
    return octet_conv_offsets_size(plan) + octet_larger(strip, octet_chain_scratch_size(plan));
}

size_t octet_conv_padded_channels(const octet_gemm_family *family, const octet_conv_shape *shape) {
    return octet_round_up(shape->out_c / shape->groups, family->nr) * shape->groups;
}

size_t octet_conv_packed_size(const octet_gemm_family *family, const octet_conv_shape *shape) {
    const octet_conv_plan plan = octet_conv_plan_make(family, shape, 1);
    const octet_chain_layout chains = octet_chain_layout_make(&plan);
    return chains.possible ? chains.end : plan.panel_size * plan.group_panels * shape->groups;
}

size_t octet_conv_tasks(const octet_gemm_family *family, const octet_conv_shape *shape, size_t batch, size_t threads) {
    if (batch == 0) return 0;
    const octet_conv_plan plan = octet_conv_plan_make(family, shape, batch);
    return octet_conv_plan_tasks(&plan, threads);
}

size_t octet_conv_scratch_size(const octet_gemm_family *family, const octet_conv_shape *shape) {
    // The batch decides only how many rows there are, not how many a strip has.
    const octet_conv_plan plan = octet_conv_plan_make(family, shape, 1);
    return octet_conv_plan_scratch_size(&plan);
}
