#include "epilogue.h"

// The largest integer whose square is no larger.
static size_t whole_root(size_t x) {
    size_t root = 0;
    while ((root + 1) * (root + 1) <= x) root++;
    return root;
}

octet_epilogue_data octet_integer_epilogue_make(octet_problem *p, octet_random *r, size_t channels, size_t depth,
                                                size_t count) {
    static const struct {
        float lower, upper;
        int32_t zero;
    } clamps[] = {{0, 255, 0}, {0, 100, 28}, {-118, 137, -10}, {-20, 20, 21}};
    const int64_t clamp = octet_get(p, "clamp");
    const bool half = octet_get(p, "scales") == 1, huge = octet_get(p, "scales") == 2;
    octet_epilogue_data data = {
        .epilogue =
            {
                .output = (octet_output)octet_get(p, "output"),
                .lower = clamps[clamp].lower,
                .upper = clamps[clamp].upper,
                .zero = clamps[clamp].zero,
                .residual_zero = 7,
                .residual_scale = 0.37f,
            },
        .channels = channels,
        .depth = depth,
    };
    int32_t *sums_bias = octet_add_input(p, octet_s32, channels);
    float *scale = octet_add_input(p, octet_f32, channels), *bias = octet_add_input(p, octet_f32, channels);
    // Outputs spread over about one and a half times the range of a byte; or ties wherever a sum is odd.
    const float spread = 200 / (6000 * (float)whole_root(depth));
    for (size_t c = 0; c < channels; c++) {
        const int32_t whole = (int32_t)octet_random_between(r, -5000, 5000);
        const float factor = octet_random_float(r, 0.5f, 1) * spread, offset = octet_random_float(r, 0, 200);
        sums_bias[c] = half ? 0 : whole;
        scale[c] = half ? 0.5f : huge ? 3e6f : factor;
        bias[c] = half ? 0 : offset;
    }
    data.sums_bias = sums_bias;
    data.scale = scale;
    data.bias = bias;
    if (octet_parameter_index(p->kind, "weight_zero") >= 0 && octet_get(p, "weight_zero")) {
        int32_t *zero = octet_add_input(p, octet_s32, channels);
        for (size_t c = 0; c < channels; c++) zero[c] = (int32_t)octet_random_between(r, -128, 127);
        data.weight_zero = zero;
    }
    if (octet_get(p, "residual")) {
        uint8_t *residual = octet_add_input(p, octet_u8, count);
        for (size_t i = 0; i < count; i++) residual[i] = (uint8_t)octet_random_next(r);
        data.epilogue.residual = residual;
    }
    static const octet_element types[] = {octet_u8, octet_s32, octet_f32};
    data.output = p->buffer_count;
    octet_add_output(p, types[data.epilogue.output], count, 0);
    return data;
}

octet_epilogue_data octet_float_epilogue_make(octet_problem *p, octet_random *r, size_t channels, size_t depth,
                                              size_t count) {
    octet_epilogue_data data = {
        .epilogue =
            {
                .output = OCTET_OUTPUT_FLOAT32,
                .lower = octet_get(p, "clamp") ? 0 : -INFINITY,
                .upper = INFINITY,
            },
        .channels = channels,
    };
    float *bias = octet_add_input(p, octet_f32, channels);
    octet_random_floats(r, bias, channels, -1, 1);
    data.bias = bias;
    if (octet_get(p, "residual")) {
        float *residual = octet_add_input(p, octet_f32, count);
        octet_random_floats(r, residual, count, -1, 1);
        data.epilogue.residual = residual;
    }
    data.output = p->buffer_count;
    // Some roundings of the largest partial sum.
    octet_add_output(p, octet_f32, count, 1e-6 * (double)(depth + 4));
    return data;
}

octet_epilogue octet_epilogue_pack(octet_problem *p, const octet_epilogue_data *data, size_t padded, size_t groups,
                                   const int32_t *weight_sums, int32_t input_zero) {
    octet_epilogue e = data->epilogue;
    const bool integers = data->sums_bias;
    const size_t size = padded * sizeof(float), alignment = sizeof(float);
    int32_t *initial = integers ? octet_add_packed(p, size, alignment) : NULL;
    float *scale = integers ? octet_add_packed(p, size, alignment) : NULL;
    float *bias = octet_add_packed(p, size, alignment);
    int32_t *weight_zero = data->weight_zero ? octet_add_packed(p, size, alignment) : NULL;
    for (size_t i = 0; i < padded; i++) {
        if (integers) initial[i] = 0, scale[i] = 0;
        bias[i] = 0;
        if (weight_zero) weight_zero[i] = 0;
    }
    for (size_t c = 0; c < data->channels; c++) {
        const size_t per_group = data->channels / groups;
        const size_t place = c / per_group * (padded / groups) + c % per_group;
        if (integers) {
            initial[place] = data->sums_bias[c] - input_zero * weight_sums[place];
            scale[place] = data->scale[c];
        }
        if (weight_zero) {
            weight_zero[place] = data->weight_zero[c];
            initial[place] += input_zero * data->weight_zero[c] * (int32_t)data->depth;
        }
        bias[place] = data->bias[c];
    }
    e.initial = initial;
    e.scale = scale;
    e.bias = bias;
    e.weight_zero = weight_zero;
    e.fits_int32 = integers && octet_get(p, "promise") && octet_epilogue_fits_int32(&e, padded, data->depth);
    return e;
}

// MARK: - Definition

void octet_integer_finish(octet_problem *p, const octet_epilogue_data *data, size_t index, int64_t sum) {
    const octet_epilogue *e = &data->epilogue;
    const size_t c = index % data->channels;
    void *to = octet_expected(p, data->output);
    sum += data->sums_bias[c];
    if (sum < INT32_MIN || sum > INT32_MAX) abort();  // should have been refused
    float real = (float)sum * data->scale[c];
    real = real + data->bias[c];
    if (e->residual) {
        const float residual = (float)(((const uint8_t *)e->residual)[index] - e->residual_zero) * e->residual_scale;
        real = real + residual;
    }
    switch (e->output) {
        case OCTET_OUTPUT_UINT8:
            ((uint8_t *)to)[index] = octet_requantized(real, e->lower, e->upper, e->zero);
            break;
        case OCTET_OUTPUT_INT32:
            ((int32_t *)to)[index] = (int32_t)sum;
            break;
        case OCTET_OUTPUT_FLOAT32:
            ((float *)to)[index] = octet_clamp(real, e->lower, e->upper);
            break;
    }
}

void octet_float_finish(octet_problem *p, const octet_epilogue_data *data, size_t index, double sum) {
    const octet_epilogue *e = &data->epilogue;
    float *to = octet_expected(p, data->output);
    sum += data->bias[index % data->channels];
    if (e->residual) sum += ((const float *)e->residual)[index];
    to[index] = (float)(sum < e->lower ? e->lower : sum > e->upper ? e->upper : sum);
}

// Whether a tap of an output lies on the image, and where.
static bool is_inside(size_t out, size_t stride, size_t tap, size_t dilation, ptrdiff_t pad, size_t in, size_t *place) {
    const ptrdiff_t found = (ptrdiff_t)(out * stride + tap * dilation) - pad;
    *place = (size_t)found;
    return found >= 0 && found < (ptrdiff_t)in;
}

#define NAIVE_CONVOLUTION(a_minus_zero, w_minus_zero, type, finish)                                         \
    const size_t inputs = s->in_c / s->groups, outputs = s->out_c / s->groups;                              \
    for (size_t out = 0; out < batch * s->out_h * s->out_w * s->out_c; out++) {                             \
        const size_t channel = out % s->out_c, x = out / s->out_c % s->out_w,                               \
                     y = out / s->out_c / s->out_w % s->out_h;                                              \
        const size_t image = out / s->out_c / s->out_w / s->out_h;                                          \
        type sum = 0;                                                                                       \
        size_t row, column;                                                                                 \
        for (size_t ky = 0; ky < s->kernel_h; ky++) {                                                       \
            if (!is_inside(y, s->stride_h, ky, s->dilation_h, s->pad_top, s->in_h, &row)) continue;         \
            for (size_t kx = 0; kx < s->kernel_w; kx++) {                                                   \
                if (!is_inside(x, s->stride_w, kx, s->dilation_w, s->pad_left, s->in_w, &column)) continue; \
                const size_t pixel = ((image * s->in_h + row) * s->in_w + column) * s->in_c;                \
                for (size_t i = 0; i < inputs; i++) {                                                       \
                    const size_t k = ((channel * inputs + i) * s->kernel_h + ky) * s->kernel_w + kx;        \
                    const size_t place = pixel + channel / outputs * inputs + i;                            \
                    sum += (type)(a_minus_zero) * (type)(w_minus_zero);                                     \
                }                                                                                           \
            }                                                                                               \
        }                                                                                                   \
        finish(p, data, out, sum);                                                                          \
    }

void octet_naive_convolution(octet_problem *p, const octet_epilogue_data *data, const octet_conv_shape *s, size_t batch,
                             const uint8_t *input, int32_t input_zero, const int8_t *weights) {
    const int32_t *zeros = data->weight_zero;
    NAIVE_CONVOLUTION(input[place] - input_zero, weights[k] - (zeros ? zeros[channel] : 0), int64_t,
                      octet_integer_finish);
}

void octet_naive_float_convolution(octet_problem *p, const octet_epilogue_data *data, const octet_conv_shape *s,
                                   size_t batch, const float *input, const float *weights) {
    NAIVE_CONVOLUTION(input[place], weights[k], double, octet_float_finish);
}

octet_work octet_convolution_work(const octet_conv_shape *s, size_t batch, size_t input_size, size_t output_size) {
    const double outputs = (double)batch * (double)(s->out_h * s->out_w * s->out_c);
    const double depth = (double)(s->in_c / s->groups * s->kernel_h * s->kernel_w);
    return (octet_work){
        .macs = outputs * depth,
        .bytes =
            ((double)batch * (double)(s->in_h * s->in_w * s->in_c) + (double)s->out_c * depth) * (double)input_size +
            outputs * (double)output_size,
        .outputs = outputs,
    };
}
