// Products of float activations with weights of 4 or 8 bits.
#include "../kind.h"

typedef struct {
    octet_weights_shape shape;
    size_t rows, scales;  // scales: of a channel
    float lower, upper;
    const float *x, *bias;
    const uint8_t *weights;
    const float *scale;
    const int32_t *zero;
    const void *packed;
    float *output;
} weight_only;
enum { x_buffer, weights_buffer, scale_buffer, zero_buffer, bias_buffer, output_buffer };

static const float lowers[] = {-INFINITY, 0, -2}, uppers[] = {INFINITY, INFINITY, 3};

static octet_weights_shape shape_of(const octet_kind *kind, const int64_t *values) {
    static const size_t groups[] = {0, 32, 64, 128, 96};
    return (octet_weights_shape){
        .n = octet_size(kind, values, "n"),
        .k = octet_size(kind, values, "k"),
        .bits = octet_value(kind, values, "bits") ? 8 : 4,
        .is_signed = octet_value(kind, values, "signed") == 0,
        .group = groups[octet_value(kind, values, "group")],
        .has_zeros = octet_value(kind, values, "zeros") == 1,
    };
}
static size_t scales_of(const octet_weights_shape *s) { return s->group ? (s->k + s->group - 1) / s->group : 1; }

static const char *refusal(const octet_kind *kind, const int64_t *values) {
    const octet_weights_shape shape = shape_of(kind, values);
    return octet_weights_refusal(&shape, octet_size(kind, values, "m"));
}

static octet_work work(const octet_kind *kind, const int64_t *values) {
    const octet_weights_shape s = shape_of(kind, values);
    const double m = (double)octet_value(kind, values, "m"), n = (double)s.n, k = (double)s.k;
    const double scales = n * (double)scales_of(&s) * (sizeof(float) + s.has_zeros);
    return (octet_work){
        .macs = m * n * k, .bytes = n * k * s.bits / 8 + scales + (m * n + m * k) * sizeof(float), .outputs = m * n};
}

// MARK: - Inputs

// Patterns of activations.
enum { evenly, ends, ties, wide, tiny, zero, strange };

// One group of 32 activations or what is left of it.
static void fill_group(octet_random *r, int64_t pattern, float *x, size_t count) {
    const float width = pattern == wide ? ldexpf(1, (int)octet_random_between(r, -60, 60)) : 1;
    for (size_t i = 0; i < count; i++) {
        switch (pattern) {
            case evenly:
            case wide:
                x[i] = octet_random_float(r, -width, width);
                break;
            case ends:
                x[i] = octet_random_next(r) % 2 ? 1 : -1;
                break;
            case ties:
                // The scale is 1, and numbers stand halfway between two bytes.
                x[i] = i == 0 ? 127 : (float)octet_random_between(r, -127, 126) + 0.5f;
                break;
            case tiny:
                // Scales with few bits, or none.
                x[i] = ldexpf(octet_random_float(r, -1, 1), (int)octet_random_between(r, -148, -138));
                break;
            case zero:
                x[i] = octet_random_next(r) % 2 ? 0.0f : -0.0f;
                break;
            case strange:
                x[i] = octet_random_float(r, -1, 1);
                break;
            default:
                abort();
        }
    }
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    if (pattern == strange && octet_random_next(r) % 8 == 0)
        x[octet_random_next(r) % count] = odd[octet_random_next(r) % 3];
}

static void make(octet_problem *p) {
    weight_only *s = p->state;
    octet_random source = octet_random_of(p);
    s->shape = shape_of(p->kind, p->values);
    s->rows = (size_t)octet_get(p, "m");
    s->scales = scales_of(&s->shape);
    s->lower = lowers[octet_get(p, "clamp")];
    s->upper = uppers[octet_get(p, "clamp")];
    const size_t n = s->shape.n, k = s->shape.k;

    float *x = octet_add_input(p, octet_f32, s->rows * k);
    for (size_t row = 0; row < s->rows; row++)
        for (size_t i = 0; i < k; i += 32)
            fill_group(&source, octet_get(p, "activations"), x + row * k + i, k - i < 32 ? k - i : 32);

    int8_t *drawn = malloc(n * k);
    if (!drawn) abort();
    octet_fill_weights(&source, octet_get(p, "weights"), drawn, n, k);
    uint8_t *weights = octet_add_input(p, octet_u8, s->shape.bits == 8 ? n * k : (n * k + 1) / 2);
    memset(weights, 0, p->buffers[weights_buffer].block.size);
    for (size_t i = 0; i < n * k; i++) {
        const uint8_t weight = (uint8_t)(drawn[i] + (s->shape.is_signed ? 0 : 128));
        if (s->shape.bits == 8) {
            weights[i] = weight;
        } else {
            weights[i / 2] |= (uint8_t)((weight >> 4) << (i % 2 * 4));
        }
    }
    free(drawn);

    float *scale = octet_add_input(p, octet_f32, n * s->scales);
    octet_random_floats(&source, scale, n * s->scales, 0.001f, 0.02f);
    // Products of tiny activations would all be 0.
    for (size_t i = 0; octet_get(p, "activations") == tiny && i < n * s->scales; i++) scale[i] = ldexpf(scale[i], 130);
    int32_t *zero = octet_add_input(p, octet_s32, n * s->scales);
    const int32_t half = 1 << (s->shape.bits - 1), low = s->shape.is_signed ? -half : 0;
    for (size_t i = 0; i < n * s->scales; i++)
        zero[i] = s->shape.has_zeros ? (int32_t)octet_random_between(&source, low, low + 2 * half - 1) : 0;
    octet_random_floats(&source, octet_add_input(p, octet_f32, n), n, -1, 1);
    octet_add_output(p, octet_f32, s->rows * n, 0);
}

// MARK: - The answer

static int32_t weight_at(const weight_only *s, size_t i) {
    if (s->shape.bits == 8) return s->shape.is_signed ? (int8_t)s->weights[i] : s->weights[i];
    const int32_t nibble = s->weights[i / 2] >> (i % 2 * 4) & 15;
    return s->shape.is_signed && nibble > 7 ? nibble - 16 : nibble;
}

static void find_inputs(octet_problem *p) {
    weight_only *s = p->state;
    s->x = octet_data(p, x_buffer);
    s->weights = octet_data(p, weights_buffer);
    s->scale = octet_data(p, scale_buffer);
    s->zero = octet_data(p, zero_buffer);
    s->bias = octet_get(p, "bias") == 0 ? octet_data(p, bias_buffer) : NULL;
}

static void expect(octet_problem *p) {
    find_inputs(p);
    const weight_only *s = p->state;
    const size_t n = s->shape.n, k = s->shape.k, group = s->shape.group ? s->shape.group : k;
    float *out = octet_expected(p, output_buffer);
    for (size_t row = 0; row < s->rows; row++)
        for (size_t channel = 0; channel < n; channel++) {
            float real = 0;
            for (size_t first = 0; first < k; first += 32) {
                const float *x = s->x + row * k;
                const size_t last = k - first < 32 ? k : first + 32, index = channel * s->scales + first / group;
                float most = 0;
                for (size_t i = first; i < last; i++) {
                    if (!(x[i] - x[i] == 0)) most = NAN;
                    if (fabsf(x[i]) > most) most = fabsf(x[i]);
                }
                const float scale = most / 127;
                int64_t sum = 0;
                for (size_t i = first; i < last; i++) {
                    const float steps = scale > 0 ? octet_clamp(x[i] / scale, -127, 127) : 0;
                    sum += octet_round_half_even(steps) * (weight_at(s, channel * k + i) - s->zero[index]);
                }
                const float unit = s->scale[index] * scale;
                const float product = (float)sum * unit;
                real = real + product;
            }
            out[row * n + channel] = octet_clamp(real + (s->bias ? s->bias[channel] : 0), s->lower, s->upper);
        }
}

// MARK: - Running

static size_t prepare(octet_problem *p) {
    find_inputs(p);
    weight_only *s = p->state;
    const octet_weights_family *family = &p->isa->weights;
    void *packed = octet_add_packed(p, octet_weights_packed_size(family, &s->shape), octet_cache_line_size);
    octet_weights_pack(family, &s->shape, s->weights, s->scale, s->shape.has_zeros ? s->zero : NULL, packed);
    s->packed = packed;
    s->output = octet_data(p, output_buffer);
    p->scratch_size = octet_weights_scratch_size(family, &s->shape, s->rows);
    return octet_weights_tasks(family, &s->shape, s->rows, p->threads);
}

static void run(octet_problem *p, size_t first, size_t last, void *scratch) {
    const weight_only *s = p->state;
    octet_weights_run(&p->isa->weights, &s->shape, s->rows, s->x, s->packed, s->bias, s->lower, s->upper, s->output,
                      p->threads, first, last, scratch);
}

// From one element to beyond two tiles and two panels of every instruction set, groups of scales with every rest.
static const octet_parameter parameters[] = {
    OCTET_COMMON_PARAMETERS,
    OCTET_CROSSED("m", 1, 1 << 20, 1, 1, 2, 3, 4, 5, 7, 13, 16),
    OCTET_CROSSED("n", 1, 1 << 20, 256, 1, 3, 7, 8, 9, 16, 17, 31, 33, 48, 65),
    OCTET_CROSSED("k", 1, 1 << 20, 256, 1, 2, 5, 15, 16, 31, 32, 33, 64, 67, 127, 128, 129, 385),
    OCTET_CHOICE("bits", "4", "8"),
    OCTET_CHOICE("group", "channel", "32", "64", "128", "96"),
    OCTET_CHOICE("zeros", "no", "yes"),
    OCTET_CHOICE("signed", "yes", "no"),
    OCTET_CHOICE("bias", "yes", "no"),
    OCTET_CHOICE("clamp", "none", "relu", "both"),
    OCTET_CHOICE("activations", "random", "ends", "ties", "wide", "tiny", "zero", "strange"),
    OCTET_WEIGHTS,
};

static const char *const cases[] = {
    // The largest sums there are, of either sign.
    "m=3 n=33 k=1000 bits=4 group=32 activations=ends weights=low signed=no",
    "m=3 n=33 k=1000 bits=4 group=32 activations=ends weights=high signed=no",
    "m=3 n=33 k=1000 bits=8 group=32 activations=ends weights=low",
    "m=3 n=33 k=1000 bits=8 group=32 activations=ends weights=high",
    "m=3 n=33 k=1000 bits=8 group=32 activations=ends weights=high signed=no",
    "m=3 n=33 k=1000 bits=8 activations=ends weights=extremes zeros=yes",
    "m=5 n=20 k=320 bits=8 activations=ties weights=full",
    "m=5 n=20 k=320 bits=4 activations=ties weights=full",
    "m=2 n=20 k=320 bits=4 activations=tiny",
    "m=7 n=20 k=320 bits=8 activations=strange",
    // Several blocks of rows, blocks of channels, depths where few rows fit.
    "m=300 n=20 k=700 threads=2 bits=4 group=32",
    "m=300 n=20 k=700 threads=8 bits=8",
    "m=1 n=1000 k=100 threads=3 bits=4 group=128 zeros=yes",
    "m=2 n=40 k=20000 threads=2 bits=4 group=64",
    "m=9 n=17 k=70000 bits=8",
    NULL,
};

const octet_kind octet_kind_weight_only = {
    .name = "weight-only",
    .parameters = parameters,
    .parameter_count = OCTET_COUNT(parameters),
    .draws = 2,
    .cases = cases,
    .exact = true,
    .refusal = refusal,
    .work = work,
    .state_size = sizeof(weight_only),
    .make = make,
    .expect = expect,
    .prepare = prepare,
    .run = run,
};
