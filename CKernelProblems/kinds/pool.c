// Pooling of bytes and of floats.
#include "../window.h"

enum { bytes, floats };
enum { input_buffer, output_buffer };
static const int32_t out_zero = 11;
static const float scale = 1.3f, lower = -11, upper = 244;

typedef struct {
    octet_window window;
    size_t batch;
    int64_t type;
    uint8_t zero;
} pool;

static octet_window window_of(const octet_kind *kind, const int64_t *values) {
    octet_window w = octet_window_of(kind, values);
    w.count_include_pad =
        octet_parameter_index(kind, "padding_counts") >= 0 && octet_value(kind, values, "padding_counts");
    if (octet_value(kind, values, "global")) {
        w.kernel_h = w.in_h, w.kernel_w = w.in_w;
        w.dilation_h = w.dilation_w = w.stride_h = w.stride_w = w.out_h = w.out_w = 1;
        w.pad_top = w.pad_left = 0;
    }
    return w;
}

static const char *refusal(const octet_kind *kind, const int64_t *values) {
    const octet_window window = window_of(kind, values);
    return octet_window_refusal(&window, octet_size(kind, values, "batch"));
}

static octet_work work(const octet_kind *kind, const int64_t *values) {
    const octet_window window = window_of(kind, values);
    const size_t batch = octet_size(kind, values, "batch"), size = octet_value(kind, values, "type") == bytes ? 1 : 4;
    const double in = (double)octet_window_inputs(&window, batch), out = (double)octet_window_outputs(&window, batch);
    return (octet_work){.bytes = (in + out) * (double)size, .outputs = out};
}

static void make(octet_problem *p) {
    pool *state = p->state;
    octet_random random = octet_random_of(p);
    state->window = window_of(p->kind, p->values);
    state->batch = (size_t)octet_get(p, "batch");
    state->type = octet_get(p, "type");
    state->zero = (uint8_t)octet_random_next(&random);
    const size_t in = octet_window_inputs(&state->window, state->batch);
    const size_t out = octet_window_outputs(&state->window, state->batch);
    if (state->type == bytes) {
        uint8_t *input = octet_add_input(p, octet_u8, in);
        for (size_t i = 0; i < in; i++) input[i] = (uint8_t)octet_random_next(&random);
        octet_add_output(p, octet_u8, out, 0);
    } else {
        static const float strange[] = {NAN, -NAN, INFINITY, -INFINITY, -0.0f};
        float *input = octet_add_input(p, octet_f32, in);
        octet_random_floats(&random, input, in, -1, 1);
        for (size_t i = 0; i < in && octet_get(p, "strange"); i++)
            if (octet_random_next(&random) % 3 == 0)
                input[i] = strange[octet_random_next(&random) % OCTET_COUNT(strange)];
        octet_add_output(p, octet_f32, out, 0);
    }
}

// The places in the input of what the window of output `index` covers.
static size_t covered(const octet_window *w, size_t index, size_t *places) {
    const size_t channel = index % w->channels, x = index / w->channels % w->out_w;
    const size_t y = index / w->channels / w->out_w % w->out_h, image = index / w->channels / w->out_w / w->out_h;
    size_t count = 0;
    for (size_t ky = 0; ky < w->kernel_h; ky++)
        for (size_t kx = 0; kx < w->kernel_w; kx++) {
            // What lies before the image wraps around and is beyond it as well.
            const size_t row = y * w->stride_h + ky * w->dilation_h - w->pad_top;
            const size_t column = x * w->stride_w + kx * w->dilation_w - w->pad_left;
            if (row < w->in_h && column < w->in_w)
                places[count++] = ((image * w->in_h + row) * w->in_w + column) * w->channels + channel;
        }
    return count;
}

static uint8_t maximum_of_bytes(const pool *state, const uint8_t *input, const size_t *places, size_t count) {
    (void)state;
    uint8_t best = 0;
    for (size_t i = 0; i < count; i++) best = input[places[i]] > best ? input[places[i]] : best;
    return best;
}
static float maximum_of_floats(const pool *state, const float *input, const size_t *places, size_t count) {
    (void)state;
    float best = -INFINITY;
    for (size_t i = 0; i < count; i++) best = input[places[i]] > best ? input[places[i]] : best;
    return best;
}

static float divisor(const octet_window *w, size_t count) {
    if (w->count_include_pad) return (float)(w->kernel_h * w->kernel_w);
    return count ? (float)count : 1;
}
static uint8_t average_of_bytes(const pool *state, const uint8_t *input, const size_t *places, size_t count) {
    int32_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += input[places[i]] - state->zero;
    const float inverse = 1 / divisor(&state->window, count);
    const float mean = (float)sum * inverse;
    return octet_requantized(mean * scale, lower, upper, out_zero);
}
static float average_of_floats(const pool *state, const float *input, const size_t *places, size_t count) {
    float sum = 0;
    for (size_t i = 0; i < count; i++) sum += input[places[i]];
    return sum / divisor(&state->window, count);
}

static size_t prepare(octet_problem *p) {
    const pool *state = p->state;
    return octet_parts(state->batch * state->window.out_h, p->threads);
}

static void run_max(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const pool *state = p->state;
    const octet_window *w = &state->window;
    const size_t rows = state->batch * w->out_h;
    const size_t from = octet_share(rows, first, p->parts), to = octet_share(rows, last, p->parts);
    const void *input = octet_data(p, input_buffer);
    void *output = octet_data(p, output_buffer);
    if (state->type == bytes) {
        p->isa->max_pool_u8(w, input, output, from, to);
    } else {
        p->isa->max_pool_f32(w, input, output, from, to);
    }
}

static void run_average(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const pool *state = p->state;
    const octet_window *w = &state->window;
    const size_t rows = state->batch * w->out_h;
    const size_t from = octet_share(rows, first, p->parts), to = octet_share(rows, last, p->parts);
    const void *input = octet_data(p, input_buffer);
    void *output = octet_data(p, output_buffer);
    if (state->type == bytes) {
        p->isa->average_pool_u8(w, input, state->zero, scale, out_zero, lower, upper, output, from, to);
    } else {
        p->isa->average_pool_f32(w, input, output, from, to);
    }
}

static void expect(octet_problem *p) {
    const pool *state = p->state;
    const octet_window *w = &state->window;
    const bool average = p->kind->run == run_average;
    const void *input = octet_data(p, input_buffer);
    void *output = octet_expected(p, output_buffer);
    size_t *places = malloc(w->kernel_h * w->kernel_w * sizeof *places);
    if (!places) abort();
    for (size_t i = 0, end = octet_window_outputs(w, state->batch); i < end; i++) {
        const size_t count = covered(w, i, places);
        if (state->type == bytes) {
            ((uint8_t *)output)[i] = (average ? average_of_bytes : maximum_of_bytes)(state, input, places, count);
        } else {
            ((float *)output)[i] = (average ? average_of_floats : maximum_of_floats)(state, input, places, count);
        }
    }
    free(places);
}

#define POOL_PARAMETERS                                                                         \
    OCTET_COMMON_PARAMETERS, OCTET_WINDOW_PARAMETERS, OCTET_CHOICE("type", "uint8", "float32"), \
        OCTET_CHOICE("strange", "no", "yes"), GLOBAL
#define GLOBAL {.name = "global", .choices = (const char *[]){"no", "yes"}, .high = 1, OCTET_GRID(0, 0, 0, 1)}
static const octet_parameter max_parameters[] = {POOL_PARAMETERS};
static const octet_parameter average_parameters[] = {POOL_PARAMETERS, OCTET_CHOICE("padding_counts", "no", "yes")};
static const char *const cases[] = {
    "in_h=112 in_w=113 channels=64 kernel_h=3 kernel_w=3 stride_h=2 stride_w=2 threads=3",
    "in_h=14 in_w=14 channels=256 kernel_h=2 kernel_w=2 pad_top=0 pad_left=0 stride_h=2 stride_w=2",
    "in_h=7 in_w=7 channels=1280 global=yes",
    "in_h=14 in_w=15 channels=101 global=yes type=float32",
    NULL,
};

#define POOL_KIND(symbol, name_, suffix)                     \
    const octet_kind octet_kind_##symbol = {                 \
        .name = name_,                                       \
        .parameters = suffix##_parameters,                   \
        .parameter_count = OCTET_COUNT(suffix##_parameters), \
        .cases = cases,                                      \
        .exact = true,                                       \
        .refusal = refusal,                                  \
        .work = work,                                        \
        .state_size = sizeof(pool),                          \
        .make = make,                                        \
        .expect = expect,                                    \
        .prepare = prepare,                                  \
        .run = run_##suffix,                                 \
    };
POOL_KIND(max_pool, "max-pool", max)
POOL_KIND(average_pool, "average-pool", average)
