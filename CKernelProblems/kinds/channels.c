// Kernels with parameters by channel.
#include "../kind.h"

enum { input_buffer, scale_buffer, zero_buffer, output_buffer };

typedef struct {
    octet_channels view;
} channels;

static const char *refusal(const octet_kind *kind, const int64_t *values) {
    (void)kind, (void)values;
    return NULL;
}
static size_t count_of(const octet_problem *p) {
    const octet_channels *view = &((const channels *)p->state)->view;
    return view->outer * view->channels * view->inner;
}
static octet_work work(const octet_kind *kind, const int64_t *values) {
    const double count = (double)octet_value(kind, values, "outer") * (double)octet_value(kind, values, "channels") *
                         (double)octet_value(kind, values, "inner");
    return (octet_work){.bytes = count * (kind->sequential                          ? 4
                                          : octet_parameter_index(kind, "mask") < 0 ? 5
                                                                                    : 9),
                        .outputs = count};
}

static size_t channel_of(const octet_problem *p, size_t i) {
    const octet_channels *view = &((const channels *)p->state)->view;
    return i / view->inner % view->channels;
}

static void start(octet_problem *p) {
    channels *s = p->state;
    s->view = (octet_channels){(size_t)octet_get(p, "outer"), (size_t)octet_get(p, "channels"),
                               (size_t)octet_get(p, "inner")};
}
static void add_floats(octet_problem *p, octet_random *random) {
    static const float strange[] = {NAN, INFINITY, -INFINITY, 3e38f, -0.0f, 0.5f, 1.5f, -2.5f, 1e9f};
    const size_t count = count_of(p);
    float *x = octet_add_input(p, octet_f32, count);
    octet_random_floats(random, x, count, -50, 70);
    for (size_t i = 0; i < count; i++)
        if (octet_random_between(random, 0, 9) < octet_get(p, "strange"))
            x[i] = strange[octet_random_next(random) % OCTET_COUNT(strange)];
}
static void add_parameters(octet_problem *p, octet_random *random) {
    const size_t count = (size_t)octet_get(p, "channels");
    const bool is_signed = octet_get(p, "type") == 1;
    octet_random_floats(random, octet_add_input(p, octet_f32, count), count, 0.05f, 2);
    int32_t *zero = octet_add_input(p, octet_s32, count);
    for (size_t i = 0; i < count; i++)
        zero[i] = (int32_t)octet_random_between(random, is_signed ? -128 : 0, is_signed ? 127 : 255);
}

// Rows first ..< last of the outer axis.
typedef struct {
    octet_channels view;
    size_t start;
} part;
static part part_of(const octet_problem *p, size_t first, size_t last) {
    const octet_channels *view = &((const channels *)p->state)->view;
    const size_t row = octet_share(view->outer, first, p->parts);
    return (part){
        .view = {octet_share(view->outer, last, p->parts) - row, view->channels, view->inner},
        .start = row * view->channels * view->inner,
    };
}
static size_t prepare(octet_problem *p) { return octet_parts((size_t)octet_get(p, "outer"), p->threads); }

#define VIEW                                                                                              \
    OCTET_COMMON_PARAMETERS, OCTET_CROSSED("outer", 1, 1 << 20, 1, 1, 2, 40),                             \
        OCTET_CROSSED("channels", 1, 1 << 20, 256, 1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 64, 65, 100, 131), \
        OCTET_CROSSED("inner", 1, 1 << 20, 1, 1, 2, 9, 49, 100)
#define STRANGE OCTET_NUMBER("strange", 0, 10, 0, 0, 1, 7)
#define TYPE OCTET_CHOICE("type", "uint8", "int8")
#define CHANNELS_KIND(symbol, name_, sequential_)            \
    const octet_kind octet_kind_##symbol##_channels = {      \
        .name = name_,                                       \
        .parameters = symbol##_parameters,                   \
        .parameter_count = OCTET_COUNT(symbol##_parameters), \
        .draws = 2,                                          \
        .exact = true,                                       \
        .sequential = sequential_,                           \
        .refusal = refusal,                                  \
        .work = work,                                        \
        .state_size = sizeof(channels),                      \
        .make = symbol##_make,                               \
        .expect = symbol##_expect,                           \
        .prepare = prepare,                                  \
        .run = symbol##_run,                                 \
    };

static int32_t low_of(const octet_problem *p) { return octet_get(p, "type") == 1 ? -128 : 0; }
static int32_t high_of(const octet_problem *p) { return octet_get(p, "type") == 1 ? 127 : 255; }

// MARK: - Quantize

static void quantize_make(octet_problem *p) {
    octet_random random = octet_random_of(p);
    start(p);
    add_floats(p, &random);
    add_parameters(p, &random);
    octet_add_output(p, octet_u8, count_of(p), 0);
}
static void quantize_expect(octet_problem *p) {
    const float *x = octet_data(p, input_buffer), *scale = octet_data(p, scale_buffer);
    const int32_t *zero = octet_data(p, zero_buffer);
    uint8_t *out = octet_expected(p, output_buffer);
    for (size_t i = 0; i < count_of(p); i++) {
        const size_t c = channel_of(p, i);
        const float steps = x[i] == x[i] ? x[i] / scale[c] : 0;
        out[i] = octet_requantized(steps, (float)(low_of(p) - zero[c]), (float)(high_of(p) - zero[c]), zero[c]);
    }
}
static void quantize_run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const part r = part_of(p, first, last);
    p->isa->quantize_channels(&r.view, (const float *)octet_data(p, input_buffer) + r.start,
                              octet_data(p, scale_buffer), octet_data(p, zero_buffer), low_of(p), high_of(p),
                              (uint8_t *)octet_data(p, output_buffer) + r.start);
}
static const octet_parameter quantize_parameters[] = {VIEW, STRANGE, TYPE};
CHANNELS_KIND(quantize, "quantize-channels", false)

// MARK: - Dequantize

static void dequantize_make(octet_problem *p) {
    octet_random random = octet_random_of(p);
    start(p);
    uint8_t *q = octet_add_input(p, octet_u8, count_of(p));
    for (size_t i = 0; i < count_of(p); i++) q[i] = (uint8_t)octet_random_next(&random);
    add_parameters(p, &random);
    octet_add_output(p, octet_f32, count_of(p), 0);
}
static void dequantize_expect(octet_problem *p) {
    const uint8_t *q = octet_data(p, input_buffer);
    const float *scale = octet_data(p, scale_buffer);
    const int32_t *zero = octet_data(p, zero_buffer);
    float *out = octet_expected(p, output_buffer);
    for (size_t i = 0; i < count_of(p); i++) {
        const size_t c = channel_of(p, i);
        const int32_t byte = octet_get(p, "type") == 1 ? (int8_t)q[i] : q[i];
        out[i] = (float)(byte - zero[c]) * scale[c];
    }
}
static void dequantize_run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const part r = part_of(p, first, last);
    const uint8_t *q = (const uint8_t *)octet_data(p, input_buffer) + r.start;
    const float *scale = octet_data(p, scale_buffer);
    const int32_t *zero = octet_data(p, zero_buffer);
    float *out = (float *)octet_data(p, output_buffer) + r.start;
    if (octet_get(p, "type") == 1) {
        p->isa->dequantize_channels_s8(&r.view, (const int8_t *)q, scale, zero, out);
    } else {
        p->isa->dequantize_channels_u8(&r.view, q, scale, zero, out);
    }
}
static const octet_parameter dequantize_parameters[] = {VIEW, TYPE};
CHANNELS_KIND(dequantize, "dequantize-channels", false)

// MARK: - Fake-quantize

static void fake_quantize_make(octet_problem *p) {
    octet_random random = octet_random_of(p);
    start(p);
    add_floats(p, &random);
    add_parameters(p, &random);
    octet_add_output(p, octet_f32, count_of(p), 0);
    octet_add_output(p, octet_u8, octet_get(p, "mask") ? 0 : count_of(p), 0);
}
static void fake_quantize_expect(octet_problem *p) {
    const float *x = octet_data(p, input_buffer), *scale = octet_data(p, scale_buffer);
    const int32_t *zero = octet_data(p, zero_buffer);
    float *out = octet_expected(p, output_buffer);
    uint8_t *mask = octet_expected(p, output_buffer + 1);
    for (size_t i = 0; i < count_of(p); i++) {
        const size_t c = channel_of(p, i);
        const float inverse = 1 / scale[c];
        uint8_t inside;
        out[i] = octet_fake_quantized(x[i] * inverse, scale[c], zero[c], low_of(p), high_of(p), &inside);
        if (!octet_get(p, "mask")) mask[i] = inside;
    }
}
static void fake_quantize_run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const part r = part_of(p, first, last);
    p->isa->fake_quantize_channels(&r.view, (const float *)octet_data(p, input_buffer) + r.start,
                                   octet_data(p, scale_buffer), octet_data(p, zero_buffer), low_of(p), high_of(p),
                                   (float *)octet_data(p, output_buffer) + r.start,
                                   octet_get(p, "mask") ? NULL : (uint8_t *)octet_data(p, output_buffer + 1) + r.start);
}
static const octet_parameter fake_quantize_parameters[] = {VIEW, STRANGE, TYPE, OCTET_CHOICE("mask", "yes", "no")};
CHANNELS_KIND(fake_quantize, "fake-quantize-channels", false)

// MARK: - Smallest and largest

enum { first_output = 1 };
static void min_max_make(octet_problem *p) {
    octet_random random = octet_random_of(p);
    start(p);
    add_floats(p, &random);
    const size_t count = (size_t)octet_get(p, "channels");
    float *low = octet_add_output(p, octet_f32, count, 0), *high = octet_add_output(p, octet_f32, count, 0);
    for (size_t c = 0; c < count; c++) low[c] = INFINITY, high[c] = -INFINITY;
    size_t *counts = octet_add_output(p, octet_count, 2, 0);
    counts[0] = counts[1] = 0;
}
static void min_max_expect(octet_problem *p) {
    const float *x = octet_data(p, input_buffer);
    float *low = octet_expected(p, first_output), *high = octet_expected(p, first_output + 1);
    size_t *counts = octet_expected(p, first_output + 2);
    for (size_t i = 0; i < count_of(p); i++) {
        const size_t c = channel_of(p, i);
        if (x[i] != x[i]) {
            counts[1]++;
        } else if (x[i] == INFINITY || x[i] == -INFINITY) {
            counts[0]++;
        } else {
            if (x[i] < low[c]) low[c] = x[i];
            if (x[i] > high[c]) high[c] = x[i];
        }
    }
}
static void min_max_run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const part r = part_of(p, first, last);
    size_t *counts = octet_data(p, first_output + 2);
    p->isa->min_max_channels(&r.view, (const float *)octet_data(p, input_buffer) + r.start, octet_data(p, first_output),
                             octet_data(p, first_output + 1), &counts[0], &counts[1]);
}
static const octet_parameter min_max_parameters[] = {VIEW, STRANGE};
CHANNELS_KIND(min_max, "min-max-channels", true)
