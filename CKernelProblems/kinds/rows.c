// Kernels that work on rows, one at a time.
#include "../kind.h"

enum { input_buffer, output_buffer };
enum { uint8 = 1, float32 = 4 };

typedef struct {
    size_t rows, columns, stride, out_stride;
    const void *input;
    void *output;
} rows_state;

static const char *refusal(const octet_kind *kind, const int64_t *values) {
    (void)kind, (void)values;
    return NULL;
}

static size_t elements(const octet_kind *kind, const int64_t *values) {
    return octet_size(kind, values, "rows") * octet_size(kind, values, "columns");
}
static octet_work byte_work(const octet_kind *kind, const int64_t *values) {
    const double count = (double)elements(kind, values);
    return (octet_work){.bytes = 2 * count, .outputs = count};
}
static octet_work quantize_work(const octet_kind *kind, const int64_t *values) {
    const double count = (double)elements(kind, values);
    return (octet_work){.bytes = 5 * count, .outputs = count};
}
static octet_work float_work(const octet_kind *kind, const int64_t *values) {
    const double count = (double)elements(kind, values);
    return (octet_work){.bytes = 8 * count, .outputs = count};
}

static rows_state *start(octet_problem *p) {
    rows_state *s = p->state;
    s->rows = (size_t)octet_get(p, "rows");
    s->columns = (size_t)octet_get(p, "columns");
    return s;
}
static size_t prepare(octet_problem *p) {
    rows_state *s = p->state;
    s->input = octet_data(p, input_buffer);
    s->output = octet_data(p, output_buffer);
    return octet_parts(s->rows, p->threads);
}

// Rows first ..< last as a kernel gets them.
typedef struct {
    size_t row, count;
} part;
static part part_of(const octet_problem *p, size_t first, size_t last) {
    const rows_state *s = p->state;
    const size_t row = octet_share(s->rows, first, p->parts);
    return (part){row, octet_share(s->rows, last, p->parts) - row};
}

#define ROWS                                                                                                      \
    OCTET_COMMON_PARAMETERS, OCTET_CROSSED("rows", 1, 1 << 20, 128, 1, 2, 3, 5),                                  \
        OCTET_CROSSED("columns", 1, 1 << 20, 768, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 197, \
                      1000)
#define ROWS_KIND(symbol, name_, work_)                      \
    const octet_kind octet_kind_##symbol = {                 \
        .name = name_,                                       \
        .parameters = symbol##_parameters,                   \
        .parameter_count = OCTET_COUNT(symbol##_parameters), \
        .draws = 3,                                          \
        .exact = true,                                       \
        .refusal = refusal,                                  \
        .work = work_,                                       \
        .state_size = sizeof(rows_state),                    \
        .make = symbol##_make,                               \
        .expect = symbol##_expect,                           \
        .prepare = prepare,                                  \
        .run = symbol##_run,                                 \
    };

// MARK: - Bytes, with gaps between the rows

static size_t length(size_t rows, size_t columns, size_t stride) { return (rows - 1) * stride + columns; }

static void copy_rows_make(octet_problem *p) {
    rows_state *s = start(p);
    octet_random random = octet_random_of(p);
    s->stride = s->columns + (size_t)octet_get(p, "gap");
    s->out_stride = s->columns + (size_t)octet_get(p, "out_gap");
    uint8_t *input = octet_add_input(p, octet_u8, length(s->rows, s->columns, s->stride));
    for (size_t i = 0; i < length(s->rows, s->columns, s->stride); i++) input[i] = (uint8_t)octet_random_next(&random);
    octet_add_output(p, octet_u8, length(s->rows, s->columns, s->out_stride), 0);
}
static void copy_rows_expect(octet_problem *p) {
    const rows_state *s = p->state;
    const uint8_t *input = octet_data(p, input_buffer);
    uint8_t *out = octet_expected(p, output_buffer);
    for (size_t row = 0; row < s->rows; row++)
        for (size_t i = 0; i < s->columns; i++) out[row * s->out_stride + i] = input[row * s->stride + i];
}
static void copy_rows_run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const rows_state *s = p->state;
    const part r = part_of(p, first, last);
    p->isa->copy_rows_u8((const uint8_t *)s->input + r.row * s->stride, s->stride, r.count, s->columns,
                         (uint8_t *)s->output + r.row * s->out_stride, s->out_stride);
}
#define GAPS OCTET_NUMBER("gap", 0, 1 << 20, 0, 0, 1, 16, 40), OCTET_NUMBER("out_gap", 0, 1 << 20, 0, 0, 1, 16, 40)
static const octet_parameter copy_rows_parameters[] = {ROWS, GAPS};
ROWS_KIND(copy_rows, "copy-rows", byte_work)

static const int32_t zero = 100, out_zero = 20;
static const float lower = -20, upper = 200;
static const float scales[] = {1, 0.37f, 1.5f};

#define requantize_rows_make copy_rows_make
static void requantize_rows_expect(octet_problem *p) {
    const rows_state *s = p->state;
    const uint8_t *input = octet_data(p, input_buffer);
    uint8_t *out = octet_expected(p, output_buffer);
    for (size_t row = 0; row < s->rows; row++)
        for (size_t i = 0; i < s->columns; i++) {
            const float real = (float)(input[row * s->stride + i] - zero) * scales[octet_get(p, "scale")];
            out[row * s->out_stride + i] = octet_requantized(real, lower, upper, out_zero);
        }
}
static void requantize_rows_run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const rows_state *s = p->state;
    const part r = part_of(p, first, last);
    p->isa->requantize_rows_u8((const uint8_t *)s->input + r.row * s->stride, s->stride, r.count, s->columns, zero,
                               scales[octet_get(p, "scale")], out_zero, lower, upper,
                               (uint8_t *)s->output + r.row * s->out_stride, s->out_stride);
}
static const octet_parameter requantize_rows_parameters[] = {ROWS, GAPS, OCTET_CHOICE("scale", "1", "0.37", "1.5")};
ROWS_KIND(requantize_rows, "requantize-rows", byte_work)

// MARK: - Floats

// Rows around different middles; strange ones hold infinities and NaN, or a single number.
static void floats(octet_problem *p, float width) {
    rows_state *s = start(p);
    s->stride = s->out_stride = s->columns;
    octet_random random = octet_random_of(p);
    float *x = octet_add_input(p, octet_f32, s->rows * s->columns);
    for (size_t row = 0; row < s->rows; row++, x += s->columns) {
        const float middle = octet_random_float(&random, -width, width);
        octet_random_floats(&random, x, s->columns, middle - width, middle + width);
        if (!octet_get(p, "strange")) continue;
        static const float strange[] = {NAN, INFINITY, -INFINITY, 0};
        for (size_t i = 0; i < s->columns && row % 2; i++) x[i] = strange[octet_random_next(&random) % 4];
        for (size_t i = 0; i < s->columns && row % 2 == 0; i++) x[i] = middle;
    }
}
#define STRANGE OCTET_CHOICE("strange", "no", "yes")

static void quantize_rows_make(octet_problem *p) {
    floats(p, 3);
    const rows_state *s = p->state;
    octet_add_output(p, octet_u8, s->rows * s->columns, 0);
    octet_add_output(p, octet_f32, s->rows, 0);
    octet_add_output(p, octet_s32, s->rows, 0);
}
static void quantize_rows_expect(octet_problem *p) {
    const rows_state *s = p->state;
    const float *x = octet_data(p, input_buffer);
    uint8_t *out = octet_expected(p, output_buffer);
    float *scale = octet_expected(p, output_buffer + 1);
    int32_t *place = octet_expected(p, output_buffer + 2);
    for (size_t row = 0; row < s->rows; row++, x += s->columns, out += s->columns) {
        float low = 0, high = 0;
        for (size_t i = 0; i < s->columns; i++) {
            if (!(x[i] - x[i] == 0)) continue;
            low = x[i] < low ? x[i] : low;
            high = x[i] > high ? x[i] : high;
        }
        scale[row] = high == low ? 1 : (high - low) / 255;
        place[row] = octet_round_half_even(octet_clamp(-low / scale[row], 0, 255));
        for (size_t i = 0; i < s->columns; i++) {
            const float steps = x[i] == x[i] ? x[i] / scale[row] : 0;
            out[i] = octet_requantized(steps, (float)-place[row], (float)(255 - place[row]), place[row]);
        }
    }
}
static void quantize_rows_run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const rows_state *s = p->state;
    const part r = part_of(p, first, last);
    p->isa->quantize_rows((const float *)s->input + r.row * s->columns, r.count, s->columns,
                          (uint8_t *)s->output + r.row * s->columns, (float *)octet_data(p, output_buffer + 1) + r.row,
                          (int32_t *)octet_data(p, output_buffer + 2) + r.row);
}
static const octet_parameter quantize_rows_parameters[] = {ROWS, STRANGE};
ROWS_KIND(quantize_rows, "quantize-rows", quantize_work)

static void softmax_make(octet_problem *p) {
    floats(p, 15);
    const rows_state *s = p->state;
    octet_add_output(p, octet_f32, s->rows * s->columns, 0);
    // A difference of 30 has an error of 1e-6, and so has its power in proportion.
    octet_buffer *out = &p->buffers[output_buffer];
    out->tolerance = octet_get(p, "logarithm") ? 3e-6 : 0x1p-120;
    out->relative = 3e-6;
}
static void softmax_expect(octet_problem *p) {
    const rows_state *s = p->state;
    const float *x = octet_data(p, input_buffer);
    float *out = octet_expected(p, output_buffer);
    for (size_t row = 0; row < s->rows; row++, x += s->columns, out += s->columns) {
        double most = -INFINITY, sum = 0;
        for (size_t i = 0; i < s->columns; i++) most = x[i] > most ? x[i] : most;
        for (size_t i = 0; i < s->columns; i++) sum += exp(x[i] - most);
        for (size_t i = 0; i < s->columns; i++)
            out[i] = (float)(octet_get(p, "logarithm") ? x[i] - most - log(sum) : exp(x[i] - most) / sum);
    }
}
static void softmax_run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const rows_state *s = p->state;
    const part r = part_of(p, first, last);
    (octet_get(p, "logarithm") ? p->isa->log_softmax_f32 : p->isa->softmax_f32)(
        (const float *)s->input + r.row * s->columns, r.count, s->columns, (float *)s->output + r.row * s->columns);
}
static const octet_parameter softmax_parameters[] = {ROWS, STRANGE, OCTET_CHOICE("logarithm", "no", "yes")};
ROWS_KIND(softmax, "softmax", float_work)

enum { scale_buffer = 2, bias_buffer };
static const float epsilon = 1e-5f;
static void layer_norm_make(octet_problem *p) {
    floats(p, 2);
    const rows_state *s = p->state;
    // Two numbers stand apart in every row: the error of a row of nearly equal ones is their rounding error over
    // √epsilon.
    float *x = octet_data(p, input_buffer);
    for (size_t row = 0; row < s->rows && s->columns > 1; row++, x += s->columns) x[1] = x[0] + (x[0] < 0 ? 3 : -3);
    octet_add_output(p, octet_f32, s->rows * s->columns, 1e-5);
    p->buffers[output_buffer].relative = 3e-6;
    octet_random random = octet_random_of(p);
    octet_random_floats(&random, octet_add_input(p, octet_f32, s->columns), s->columns, -2, 2);
    octet_random_floats(&random, octet_add_input(p, octet_f32, s->columns), s->columns, -2, 2);
}
static void layer_norm_expect(octet_problem *p) {
    const rows_state *s = p->state;
    const float *x = octet_data(p, input_buffer);
    const float *scale = octet_data(p, scale_buffer), *bias = octet_data(p, bias_buffer);
    float *out = octet_expected(p, output_buffer);
    for (size_t row = 0; row < s->rows; row++, x += s->columns, out += s->columns) {
        double mean = 0, variance = 0;
        for (size_t i = 0; i < s->columns; i++) mean += (double)x[i] / (double)s->columns;
        for (size_t i = 0; i < s->columns; i++) variance += (x[i] - mean) * (x[i] - mean) / (double)s->columns;
        for (size_t i = 0; i < s->columns; i++) {
            double y = (x[i] - mean) / sqrt(variance + (double)epsilon);
            if (octet_get(p, "affine") == 0) y = y * (double)scale[i] + (double)bias[i];
            out[i] = (float)y;
        }
    }
}
static void layer_norm_run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const rows_state *s = p->state;
    const part r = part_of(p, first, last);
    const bool affine = octet_get(p, "affine") == 0;
    p->isa->layer_norm_f32((const float *)s->input + r.row * s->columns, r.count, s->columns,
                           affine ? octet_data(p, scale_buffer) : NULL, affine ? octet_data(p, bias_buffer) : NULL,
                           epsilon, (float *)s->output + r.row * s->columns);
}
// (No strange rows: in those all numbers are the same.)
static const octet_parameter layer_norm_parameters[] = {
    ROWS, {.name = "strange", .choices = (const char *[]){"no"}}, OCTET_CHOICE("affine", "yes", "no")};
ROWS_KIND(layer_norm, "layer-norm", float_work)

// MARK: - Sums of bytes with parameters of their own for every row

enum { row_scale_buffer = 2, row_zero_buffer, sums_buffer, channel_scale_buffer, channel_bias_buffer };
static const float dynamic_lower = -30, dynamic_upper = 50;
// Sums of 300 products at most, whatever the zero points: nothing overflows.
static int32_t drawn(octet_random *random, int32_t width) {
    return (int32_t)(octet_random_next(random) % (uint64_t)(2 * width + 1)) - width;
}
static void scale_rows_make(octet_problem *p) {
    rows_state *s = start(p);
    octet_random random = octet_random_of(p);
    int32_t *sum = octet_add_input(p, octet_s32, s->rows * s->columns);
    for (size_t i = 0; i < s->rows * s->columns; i++) sum[i] = drawn(&random, 300 * 255 * 128);
    octet_add_output(p, octet_f32, s->rows * s->columns, 0);
    octet_random_floats(&random, octet_add_input(p, octet_f32, s->rows), s->rows, 0.001f, 0.1f);
    int32_t *place = octet_add_input(p, octet_s32, s->rows), *sums;
    for (size_t i = 0; i < s->rows; i++) place[i] = (int32_t)(octet_random_next(&random) % 256);
    sums = octet_add_input(p, octet_s32, s->columns);
    for (size_t i = 0; i < s->columns; i++) sums[i] = drawn(&random, 300 * 128);
    octet_random_floats(&random, octet_add_input(p, octet_f32, s->columns), s->columns, 0.00001f, 0.001f);
    octet_random_floats(&random, octet_add_input(p, octet_f32, s->columns), s->columns, -5, 5);
}
static void scale_rows_expect(octet_problem *p) {
    const rows_state *s = p->state;
    const int32_t *sum = octet_data(p, input_buffer), *sums = octet_data(p, sums_buffer);
    const int32_t *place = octet_data(p, row_zero_buffer);
    const float *scale = octet_data(p, row_scale_buffer), *scales = octet_data(p, channel_scale_buffer);
    const float *bias = octet_data(p, channel_bias_buffer);
    float *out = octet_expected(p, output_buffer);
    for (size_t row = 0; row < s->rows; row++, sum += s->columns, out += s->columns)
        for (size_t i = 0; i < s->columns; i++) {
            const float product = (float)(sum[i] - place[row] * sums[i]) * (scale[row] * scales[i]);
            out[i] = octet_clamp(product + bias[i], dynamic_lower, dynamic_upper);
        }
}
static void scale_rows_run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const rows_state *s = p->state;
    const part r = part_of(p, first, last);
    p->isa->scale_rows((const int32_t *)s->input + r.row * s->columns, r.count, s->columns,
                       (const float *)octet_data(p, row_scale_buffer) + r.row,
                       (const int32_t *)octet_data(p, row_zero_buffer) + r.row, octet_data(p, sums_buffer),
                       octet_data(p, channel_scale_buffer), octet_data(p, channel_bias_buffer), dynamic_lower,
                       dynamic_upper, (float *)s->output + r.row * s->columns);
}
static const octet_parameter scale_rows_parameters[] = {ROWS};
ROWS_KIND(scale_rows, "scale-rows", float_work)

static void scale_channels_make(octet_problem *p) {
    rows_state *s = start(p);
    octet_random random = octet_random_of(p);
    const size_t count = s->rows * s->columns;
    int32_t *sums = octet_add_input(p, octet_s32, count);
    for (size_t i = 0; i < count; i++) sums[i] = drawn(&random, 65000 * 127);
    octet_add_output(p, octet_s32, count, 0);
    octet_random_floats(&random, octet_add_input(p, octet_f32, count), count, 0.00001f, 1);
    octet_add_output(p, octet_f32, count, 0);
}
enum { own_scale_buffer = 2, out_scale_buffer };
static const int32_t own_zero = 255;
static const float own_scale = 0.37f;
static void scale_channels_expect(octet_problem *p) {
    const rows_state *s = p->state;
    const int32_t *sums = octet_data(p, input_buffer);
    const float *scales = octet_data(p, own_scale_buffer);
    int32_t *initial = octet_expected(p, output_buffer);
    float *out = octet_expected(p, out_scale_buffer);
    for (size_t i = 0; i < s->rows * s->columns; i++) initial[i] = -own_zero * sums[i], out[i] = own_scale * scales[i];
}
static void scale_channels_run(octet_problem *p, size_t first, size_t last, void *scratch) {
    (void)scratch;
    const rows_state *s = p->state;
    const part r = part_of(p, first, last);
    const size_t from = r.row * s->columns;
    p->isa->scale_channels((const int32_t *)s->input + from, (const float *)octet_data(p, own_scale_buffer) + from,
                           r.count * s->columns, own_scale, own_zero, (int32_t *)s->output + from,
                           (float *)octet_data(p, out_scale_buffer) + from);
}
static const octet_parameter scale_channels_parameters[] = {ROWS};
ROWS_KIND(scale_channels, "scale-channels", float_work)
