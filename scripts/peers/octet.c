// What the comparison calls of Octet: problems that are packed once and run many times, on a pool of threads, timed
// here so that no interpreter is in the figures.
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "octet_kernels.h"
#include "octet_thread_pool.h"

typedef struct {
    octet_pool *pool;
    size_t items;
    void (*part)(void *job, size_t item, size_t worker);
} job_head;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *aligned(size_t bytes) { return aligned_alloc(64, (bytes + 127) / 64 * 64); }

// Runs a job `count` times; seconds for all of them.
double bench_run(job_head *job, size_t count) {
    const double start = now();
    for (size_t i = 0; i < count; i++) octet_pool_run(job->pool, job->items, job->part, job);
    return now() - start;
}

// MARK: - Convolution, GEMM among them

typedef struct {
    job_head head;
    const octet_gemm_family *family;
    octet_conv_shape shape;
    size_t batch;
    const void *input;
    uint8_t input_zero;
    void *packed, *output;
    octet_epilogue epilogue;
    size_t tasks, scratch_size;
    char *scratch;
} conv_job;

static void conv_part(void *context, size_t item, size_t worker) {
    conv_job *j = context;
    octet_conv_run(j->family, &j->shape, j->batch, j->input, j->input_zero, j->packed, &j->epilogue, j->output,
                   j->tasks, j->tasks * item / j->head.items, j->tasks * (item + 1) / j->head.items,
                   j->scratch + worker * j->scratch_size);
}

// The arrays by channel of an epilogue: at their padded places.
static octet_epilogue make_epilogue(size_t channels, size_t padded, const int32_t *sums, uint8_t input_zero,
                                    const int32_t *bias, const float *multiplier) {
    int32_t *initial = aligned(padded * sizeof *initial);
    float *scale = aligned(padded * sizeof *scale), *zeros = aligned(padded * sizeof *zeros);
    for (size_t c = 0; c < padded; c++) {
        const bool real = c < channels;
        initial[c] = real ? -(int32_t)input_zero * sums[c] + (bias ? bias[c] : 0) : 0;
        scale[c] = real ? multiplier[c] : 0;
        zeros[c] = 0;
    }
    return (octet_epilogue){.initial = initial, .scale = scale, .bias = zeros, .lower = 0, .upper = 255};
}

job_head *bench_conv(const octet_isa *isa, octet_pool *pool, const octet_conv_shape *shape, size_t batch,
                     const uint8_t *input, uint8_t input_zero, const int8_t *weights, const int32_t *bias,
                     const float *multiplier, uint8_t *output) {
    const octet_gemm_family *family = &isa->int8;
    const size_t padded = octet_conv_padded_channels(family, shape), threads = octet_pool_threads(pool);
    conv_job *j = aligned(sizeof *j);
    *j = (conv_job){
        .family = family, .shape = *shape, .batch = batch, .input = input, .input_zero = input_zero, .output = output};
    int32_t *sums = aligned(padded * sizeof *sums);
    j->packed = aligned(octet_conv_packed_size(family, shape));
    octet_conv_pack(family, shape, weights, j->packed, sums);
    j->epilogue = make_epilogue(shape->out_c, padded, sums, input_zero, bias, multiplier);
    // As the engine does when it plans a network.
    j->epilogue.fits_int32 = octet_epilogue_fits_int32(&j->epilogue, padded,
                                                       shape->in_c / shape->groups * shape->kernel_h * shape->kernel_w);
    free(sums);
    j->tasks = octet_conv_tasks(family, shape, batch, threads);
    j->scratch_size = (octet_conv_scratch_size(family, shape) + 63) / 64 * 64;
    j->scratch = aligned(threads * j->scratch_size);
    // As the engine does: a few runs of tasks for each thread.
    const size_t most = threads * 4;
    j->head = (job_head){pool, threads == 1 ? 1 : j->tasks < most ? j->tasks : most, conv_part};
    return &j->head;
}

// MARK: - Depthwise convolution

typedef struct {
    job_head head;
    const octet_isa *isa;
    octet_window window;
    const uint8_t *input;
    uint8_t input_zero;
    void *packed;
    octet_epilogue epilogue;
    uint8_t *output;
} depthwise_job;

static void depthwise_part(void *context, size_t item, size_t worker) {
    (void)worker;
    const depthwise_job *j = context;
    const size_t rows = j->window.out_h;
    j->isa->depthwise_u8(&j->window, j->input, j->input_zero, j->packed, &j->epilogue, j->output,
                         rows * item / j->head.items, rows * (item + 1) / j->head.items);
}

job_head *bench_depthwise(const octet_isa *isa, octet_pool *pool, const octet_window *window, const uint8_t *input,
                          uint8_t input_zero, const int8_t *weights, const int32_t *bias, const float *multiplier,
                          uint8_t *output) {
    const size_t taps = window->kernel_h * window->kernel_w, channels = window->channels;
    depthwise_job *j = aligned(sizeof *j);
    *j = (depthwise_job){.isa = isa, .window = *window, .input = input, .input_zero = input_zero, .output = output};
    int32_t *sums = aligned(channels * sizeof *sums);
    j->packed = aligned(octet_depthwise_packed_size(&isa->depthwise, channels, window->kernel_h, window->kernel_w));
    octet_depthwise_pack_s8(&isa->depthwise, weights, channels, window->kernel_h, window->kernel_w, j->packed, sums);
    j->epilogue = make_epilogue(channels, channels, sums, input_zero, bias, multiplier);
    j->epilogue.fits_int32 = octet_epilogue_fits_int32(&j->epilogue, channels, taps);
    free(sums);
    const size_t threads = octet_pool_threads(pool), most = threads * 4;
    j->head = (job_head){pool, threads == 1 ? 1 : window->out_h < most ? window->out_h : most, depthwise_part};
    return &j->head;
}

// MARK: - Float GEMM

typedef struct {
    job_head head;
    const octet_gemm_family *family;
    size_t m, n, k;
    const float *a, *b;
    float *c;
    void *scratch;
} sgemm_job;

static void sgemm_part(void *context, size_t item, size_t worker) {
    (void)item, (void)worker;
    const sgemm_job *j = context;
    octet_sgemm(j->family, j->m, j->n, j->k, j->a, j->k, 1, j->b, j->n, 1, j->c, j->n, false, j->scratch);
}

job_head *bench_sgemm(const octet_isa *isa, size_t m, size_t n, size_t k, const float *a, const float *b, float *c) {
    sgemm_job *j = aligned(sizeof *j);
    *j = (sgemm_job){{NULL, 1, sgemm_part}, &isa->float32, m, n, k, a, b, c, NULL};
    j->scratch = aligned(octet_sgemm_scratch_size(j->family, m, n, k));
    return &j->head;
}

// MARK: - Layouts

typedef struct {
    job_head head;
    const octet_isa *isa;
    const uint8_t *from;
    size_t channels, pixels;
    uint8_t *to;
} layout_job;

static void layout_part(void *context, size_t item, size_t worker) {
    (void)item, (void)worker;
    const layout_job *j = context;
    j->isa->to_nhwc_u8(j->from, j->channels, j->pixels, j->to);
}

job_head *bench_layout(const octet_isa *isa, size_t channels, size_t pixels, const uint8_t *from, uint8_t *to) {
    layout_job *j = aligned(sizeof *j);
    *j = (layout_job){{NULL, 1, layout_part}, isa, from, channels, pixels, to};
    return &j->head;
}

// MARK: - Observers and quantization

typedef struct {
    job_head head;
    const octet_isa *isa;
    octet_channels shape;
    size_t count, bins;
    const float *x, *scale;
    const int32_t *zero;
    int32_t low, high;
    void *out;
    uint8_t *mask;
} reals_job;

// Smallest and largest value of each channel, in turn.
static void min_max_part(void *context, size_t item, size_t worker) {
    (void)item, (void)worker;
    const reals_job *j = context;
    enum { most = 64 };
    float low[most], high[most], *out = j->out;
    size_t infinities = 0, nans = 0;
    for (size_t c = 0; c < j->shape.channels; c++) low[c] = INFINITY, high[c] = -INFINITY;
    if (j->shape.channels == 1) {
        j->isa->min_max(j->x, j->count, low, high, &infinities, &nans);
    } else {
        j->isa->min_max_channels(&j->shape, j->x, low, high, &infinities, &nans);
    }
    for (size_t c = 0; c < j->shape.channels; c++) out[2 * c] = low[c], out[2 * c + 1] = high[c];
}

static void histogram_part(void *context, size_t item, size_t worker) {
    (void)item, (void)worker;
    const reals_job *j = context;
    float low = INFINITY, high = -INFINITY;
    size_t infinities = 0, nans = 0;
    j->isa->min_max(j->x, j->count, &low, &high, &infinities, &nans);
    memset(j->out, 0, j->bins * sizeof(float));
    j->isa->histogram(j->x, j->count, low, high, j->out, j->bins);
}

static void quantize_part(void *context, size_t item, size_t worker) {
    (void)item, (void)worker;
    const reals_job *j = context;
    if (j->shape.channels == 1) {
        const int32_t zero = *j->zero;
        j->isa->quantize(j->x, j->count, *j->scale, zero, (float)(j->low - zero), (float)(j->high - zero), j->out);
    } else {
        j->isa->quantize_channels(&j->shape, j->x, j->scale, j->zero, j->low, j->high, j->out);
    }
}

static void fake_quantize_part(void *context, size_t item, size_t worker) {
    (void)item, (void)worker;
    const reals_job *j = context;
    j->isa->fake_quantize(j->x, j->count, *j->scale, *j->zero, j->low, j->high, j->out, j->mask);
}

// What reading costs.
static void read_part(void *context, size_t item, size_t worker) {
    (void)item, (void)worker;
    typedef uint64_t words __attribute__((vector_size(64)));
    const reals_job *j = context;
    const words *from = (const words *)j->x;
    words sums[4] = {0};
    for (size_t i = 0; i + 4 <= j->count / 16; i += 4)
        for (size_t v = 0; v < 4; v++) sums[v] ^= from[i + v];
    *(words *)j->out = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
}

// x: [channels, count / channels]; kind: what to do with it.
job_head *bench_reals(const octet_isa *isa, const char *kind, size_t channels, size_t count, size_t bins,
                      const float *x, const float *scale, const int32_t *zero, int32_t low, int32_t high, void *out,
                      uint8_t *mask) {
    static const struct {
        const char *kind;
        void (*part)(void *, size_t, size_t);
    } parts[] = {{"min_max", min_max_part},
                 {"histogram", histogram_part},
                 {"quantize", quantize_part},
                 {"fake_quantize", fake_quantize_part},
                 {"fake_quantize_mask", fake_quantize_part},
                 {"read", read_part}};
    reals_job *j = aligned(sizeof *j);
    *j = (reals_job){.isa = isa, .shape = {1, channels, count / channels}, .count = count, .bins = bins};
    j->x = x, j->scale = scale, j->zero = zero, j->low = low, j->high = high, j->out = out, j->mask = mask;
    j->head.items = 1;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcmp(parts[i].kind, kind) == 0) j->head.part = parts[i].part;
    return &j->head;
}

// MARK: - The machine's peak

typedef struct {
    job_head head;
    double (*loop)(size_t iterations);
} peak_job;

enum { peak_iterations = 2000 };

static void peak_part(void *context, size_t item, size_t worker) {
    (void)item, (void)worker;
    ((const peak_job *)context)->loop(peak_iterations);
}

// One loop for each thread; *multiplies: what all of them do in one run.
job_head *bench_peak(const octet_isa *isa, octet_pool *pool, bool is_float, double *multiplies) {
    peak_job *j = aligned(sizeof *j);
    *j = (peak_job){{pool, octet_pool_threads(pool), peak_part}, is_float ? isa->peak_float32 : isa->peak_int8};
    *multiplies = j->loop(peak_iterations) * (double)j->head.items;
    return &j->head;
}
