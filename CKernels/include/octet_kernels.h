// The kernels of Octet: int8 and float32 arithmetic for one thread.
//
// Everything here works on memory that the caller owns, never allocates and never fails: shapes are checked before
// they get here. Activations lie in NHWC order; an activation byte is unsigned, `real = scale * (byte - zero)`.
// (A signed activation is the same byte plus 128 with a zero point plus 128.) Weights are signed bytes.
//
// One descriptor (`octet_isa`) per instruction set says which CPU features it needs, the shape of its tiles and the
// functions that run them. What loops over tiles (`octet_conv_*`, `octet_gemm`) reads only the descriptor.
#ifndef OCTET_KERNELS_H
#define OCTET_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// MARK: - What happens to a finished sum

typedef enum {
    OCTET_OUTPUT_UINT8 = 0,    // requantized byte (the bit pattern is right for int8 as well)
    OCTET_OUTPUT_INT32 = 1,    // the exact sum
    OCTET_OUTPUT_FLOAT32 = 2,  // float(sum) * scale + bias [+ residual], clamped
} octet_output;

// The epilogue of GEMM, convolution and depthwise convolution. For integer kernels
//
//     sum  = initial[c] + Σ a · w                       (initial[c] = −za · Σ w[c] + int32 bias: exact, wraps never)
//     real = float(sum) * scale[c] + bias[c]  [+ float(residual − residual_zero) * residual_scale]
//     out  = int(round_half_even(clamp(real, lower, upper))) + zero
//
// in float32, without fused multiply-add, so that every instruction set gives the same bits. Weights may have zero
// points too: then `sum` is less by weight_zero[c] · Σ a, and initial[c] = −za · Σ w[c] + za · weight_zero[c] · (number
// of weights of a channel) + bias, and a sum may have 16384 products at most. For float kernels `out = clamp(Σ a · w +
// bias[c] [+ residual], lower, upper)`; `initial`, `scale`, `weight_zero` and `zero` are not read. All arrays by
// channel hold `octet_conv_padded_channels` elements (depthwise: one per channel).
typedef struct {
    octet_output output;
    const int32_t *initial;
    const float *scale;
    const float *bias;
    float lower, upper;  // qmin − zero, qmax − zero (ReLU: lower = 0)
    int32_t zero;
    const void *residual;  // same shape as the output; uint8 for integer kernels, float for float ones; NULL: none
    int32_t residual_zero;
    float residual_scale;
    const int32_t *weight_zero;  // NULL: all 0
    // A promise that may be made: |real| < 2³¹ for every sum there can be. It saves a clamp.
    // (octet_epilogue_fits_int32 tells.)
    bool fits_int32;
} octet_epilogue;

// Whether |real| < 2³¹ whatever the activations are, for `depth` products in each sum and `channels` elements in the
// arrays by channel.
bool octet_epilogue_fits_int32(const octet_epilogue *, size_t channels, size_t depth);

// MARK: - GEMM and convolution

// A 2-d convolution over one NHWC image of `in_h × in_w × in_c`, giving `out_h × out_w × out_c`. Padding at the bottom
// and at the right follows from the sizes. GEMM is the case in_h = m, everything else of height and width 1.
typedef struct {
    size_t in_h, in_w, in_c;
    size_t out_h, out_w, out_c;
    size_t kernel_h, kernel_w;
    size_t stride_h, stride_w;
    size_t dilation_h, dilation_w;
    ptrdiff_t pad_top, pad_left;
    size_t groups;
} octet_conv_shape;

// One tile: some pixels × some panels of channels, computed in registers. Each pixel's activations are `taps` runs of
// stored elements (a multiple of kr); run t of pixel i starts at row[i] + tap_offsets[t].
typedef struct octet_tile octet_tile;
// A second way to multiply bytes, for weights that allow it; conv_chain.h says how.
typedef struct octet_chain_kernel octet_chain_kernel;
// Another one, for rows of a matrix: its tiles read activations as its `store` leaves them, two bytes each, and add to
// every sum of a row what `store` returned.
typedef struct {
    size_t mr;  // rows of the tallest tile where there are many
    int32_t (*store)(void *to, const void *from, size_t count);
    void (*tile)(const octet_tile *);
} octet_magnitudes_kernel;

// How one instruction set multiplies matrices of one element type. Packed weights lie in panels of nr channels:
// [panel][tap][run / kr][nr][kr], missing channels and the end of a run filled with zeros.
typedef struct {
    size_t mr, panels;            // rows of the tallest tile and the most panels it takes
    size_t wide_mr, wide_panels;  // the same for tiles of few rows
    size_t short_mr;              // rows of the tallest tile where k is short: the end of one overlaps with the next
    size_t nr, kr;                // channels of one panel; elements of k consumed together
    size_t source_size;           // bytes of an activation in a tensor (1 or 4)
    size_t stored_size;           // bytes of an activation where a tile reads it (int8 on AVX2: 2)
    size_t weight_size;           // bytes of a packed weight
    // What a tile takes from the activations in the first and in the second half of a step, to multiply signed bytes.
    // Not 0: each panel starts with int32[nr], what that takes from its channels' sums.
    uint8_t shifts[2];
    bool interleaved;  // the weights of a step lie in the order k₀ k₂ k₁ k₃
    void (*tile)(const octet_tile *);
    void (*store)(void *to, const void *from, size_t count);  // tensor elements → stored elements
    const octet_magnitudes_kernel *magnitudes;  // NULL: none; else its tiles alone take shifts, and see panels' starts
    const octet_chain_kernel *chains;           // NULL: none
} octet_gemm_family;

// Elements of the arrays by channel in an epilogue: out_c / groups rounded up to whole panels, times groups.
// Channel c of group g stands at g · (padded / groups) + c.
size_t octet_conv_padded_channels(const octet_gemm_family *, const octet_conv_shape *);
// Bytes of the packed weights (64-byte aligned memory), whatever the weights are: some take less. Independent of in_h,
// in_w, out_h, out_w.
size_t octet_conv_packed_size(const octet_gemm_family *, const octet_conv_shape *);
// weights: [out_c, in_c / groups, kernel_h, kernel_w] int8 or float; sums: Σ w of each channel, padded as above
// (NULL: not wanted; float families write none).
void octet_conv_pack(const octet_gemm_family *, const octet_conv_shape *, const void *weights, void *packed,
                     int32_t *sums);
// Bytes of scratch (64-byte aligned) that one call of octet_conv_run needs.
size_t octet_conv_scratch_size(const octet_gemm_family *, const octet_conv_shape *);
// Into how many independent tasks `batch` images are split for `threads` threads (1: as few as the caches allow).
size_t octet_conv_tasks(const octet_gemm_family *, const octet_conv_shape *, size_t batch, size_t threads);
// Runs tasks first ..< last of `tasks` (the value that octet_conv_tasks gave).
// input: [batch, in_h, in_w, in_c]; output: [batch, out_h, out_w, out_c] of the epilogue's type; input_zero: the byte
// that stands for real 0 in the padding (0 for float).
void octet_conv_run(const octet_gemm_family *, const octet_conv_shape *, size_t batch, const void *input,
                    uint8_t input_zero, const void *packed, const octet_epilogue *, void *output, size_t tasks,
                    size_t first, size_t last, void *scratch);

// Transposed convolution: input (y, x) adds to the outputs at y · stride_h + ky · dilation_h − pad_top, x likewise. It
// runs as stride_h · stride_w convolutions, one for each phase of output pixels. Each phase has taps of its own, so the
// arrays `sums` and `initial` (and only these) hold [phases][octet_conv_padded_channels] elements.
size_t octet_conv_transpose_phases(const octet_conv_shape *);
size_t octet_conv_transpose_packed_size(const octet_gemm_family *, const octet_conv_shape *);
// Weights have no zero points here. weights: [in_c, out_c / groups, kernel_h, kernel_w]; reordered: scratch for as many
// weights.
void octet_conv_transpose_pack(const octet_gemm_family *, const octet_conv_shape *, const void *weights,
                               void *reordered, void *packed, int32_t *sums);
size_t octet_conv_transpose_scratch_size(const octet_gemm_family *, const octet_conv_shape *);
// Tasks depend on the number of threads that octet_conv_transpose_run is told as well.
size_t octet_conv_transpose_tasks(const octet_gemm_family *, const octet_conv_shape *, size_t batch, size_t threads);
void octet_conv_transpose_run(const octet_gemm_family *, const octet_conv_shape *, size_t batch, const void *input,
                              uint8_t input_zero, const void *packed, const octet_epilogue *, void *output,
                              size_t threads, size_t first, size_t last, void *scratch);

// c[m, n] = a[m, k] · b (+ c if accumulate). a and b are read through element strides (rows, columns), so that every
// transposition is a matter of strides; c is row-major with row stride ldc. scratch: octet_sgemm_scratch_size bytes.
size_t octet_sgemm_scratch_size(const octet_gemm_family *, size_t m, size_t n, size_t k);
void octet_sgemm(const octet_gemm_family *, size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_column,
                 const float *b, size_t b_row, size_t b_column, float *c, size_t ldc, bool accumulate, void *scratch);

// MARK: - Products of two matrices of activations

// out[m, n] = round_half_even(clamp(float(Σ_k (a[m, k] − a_zero)(b[k, n] − b_zero)) * scale, lower, upper)) + zero, of
// bytes in row-major order; 1 ≤ k ≤ 16384.
typedef struct {
    size_t m, n, k;
    int32_t a_zero, b_zero;
    float scale, lower, upper;
    int32_t zero;
} octet_matmul;

// Bytes of scratch (64-byte aligned) that one call of octet_matmul_run needs; no more for fewer rows.
size_t octet_matmul_scratch_size(const octet_gemm_family *, const octet_matmul *);
void octet_matmul_run(const octet_gemm_family *, const octet_matmul *, const uint8_t *a, const uint8_t *b,
                      uint8_t *output, void *scratch);

// MARK: - Float activations, weights of 4 or 8 bits

// y[m, n] = clamp(Σ_k x[m, k] · (w[n, k] − zero[n, k / group]) · scale[n, k / group] + bias[n], lower, upper), where
// only the weights were quantized before. Activations are quantized on their way, each row in groups of 32: the largest
// magnitude becomes ±127. Products of a group are added exactly, groups in float32 in their order,
//
//     y = Σ_j float(Σ a · (w − zero)) · (scale[n] · scale of x[m]'s group j),   byte a = round_half_even(x / its scale)
//
// without fused multiply-add, so that every instruction set gives the same bits. A row with an infinity or a NaN gives
// NaN. Weights are read as they are packed: 8 bits, or two to a byte.
typedef struct {
    size_t n, k;
    int bits;        // 4 or 8
    bool is_signed;  // weights are int4 or int8, otherwise uint4 or uint8
    size_t group;    // weights of a channel that share a scale: a multiple of 32; 0: all
    bool has_zeros;  // otherwise real 0 is the integer 0
} octet_weights_shape;

typedef struct octet_weights_tile octet_weights_tile;
typedef struct octet_activation_group octet_activation_group;

// How one instruction set does that. Packed weights lie in panels of nr channels.
typedef struct {
    size_t mr, panels;   // rows and panels of the largest tile
    size_t wide_panels;  // panels of the widest tile of one row
    size_t nr;
    uint8_t shift;  // what packing takes from weights of 8 bits, made unsigned, so that the CPU can multiply them
    void (*quantize)(const float *x, size_t count, octet_activation_group *);
    void (*tile)(const octet_weights_tile *, int bits);
} octet_weights_family;

// Why no kernel may be given a shape and so many rows, or NULL if it may.
const char *octet_weights_refusal(const octet_weights_shape *, size_t rows);
// Bytes of packed weights, scales and zero points (64-byte aligned memory).
size_t octet_weights_packed_size(const octet_weights_family *, const octet_weights_shape *);
// weights: [n, k], those of 4 bits two to a byte, the first one in the low half (element i of all of them in byte
// i / 2); scales and zeros: [n, groups], the last group of a channel may be shorter. Zero points lie within the range
// of the weights' type; NULL without has_zeros.
void octet_weights_pack(const octet_weights_family *, const octet_weights_shape *, const void *weights,
                        const float *scales, const int32_t *zeros, void *packed);
// Bytes of scratch (64-byte aligned) that one call of octet_weights_run needs.
size_t octet_weights_scratch_size(const octet_weights_family *, const octet_weights_shape *, size_t rows);
// Into how many independent tasks the product is split for `threads` threads.
size_t octet_weights_tasks(const octet_weights_family *, const octet_weights_shape *, size_t rows, size_t threads);
// Runs tasks first ..< last of those for `threads` threads. x: [rows, k]; bias: [n] or NULL; output: [rows, n].
void octet_weights_run(const octet_weights_family *, const octet_weights_shape *, size_t rows, const float *x,
                       const void *packed, const float *bias, float lower, float upper, float *output, size_t threads,
                       size_t first, size_t last, void *scratch);

// MARK: - The descriptor

// Elementwise kernels take a range of contiguous elements; pooling and depthwise kernels take output rows
// first_row ..< last_row of batch · out_h rows.
typedef struct {
    size_t in_h, in_w, channels;
    size_t out_h, out_w;
    size_t kernel_h, kernel_w;
    size_t stride_h, stride_w;
    size_t dilation_h, dilation_w;
    size_t pad_top, pad_left;
    bool count_include_pad;  // average pooling: divide by the full window
} octet_window;

// A tensor with parameters by channel, seen as [outer, channels, inner]: channels along axis 0 have outer = 1, channels
// last have inner = 1.
typedef struct {
    size_t outer, channels, inner;
} octet_channels;

typedef enum { OCTET_EXP, OCTET_SIGMOID, OCTET_TANH, OCTET_ERF, OCTET_GELU, OCTET_SILU } octet_unary;

// How depthwise_u8 wants its weights; CKernels/depthwise.h says what the words mean.
typedef struct {
    size_t lanes;        // 32-bit lanes of a vector
    size_t rows;         // kernel rows in a stack
    size_t pieces;       // the most pieces of a vector
    size_t weight_size;  // bytes
    int32_t shift;       // what is subtracted from activations before they are multiplied
} octet_depthwise_layout;

typedef struct octet_isa {
    const char *name;      // "scalar", "avx2", "avx512vnni", …
    const char *features;  // what it needs, for people
    const char *dot;       // the multiply instructions of its int8 tile, for people
    bool (*supported)(void);
    octet_gemm_family int8, float32;
    octet_weights_family weights;

    // Depthwise convolution, one filter per channel. weights: octet_depthwise_pack's. input_zero fills the padding.
    octet_depthwise_layout depthwise;
    void (*depthwise_u8)(const octet_window *, const uint8_t *input, uint8_t input_zero, const void *weights,
                         const octet_epilogue *, uint8_t *output, size_t first_row, size_t last_row);
    void (*depthwise_f32)(const octet_window *, const float *input, const float *weights, const octet_epilogue *,
                          float *output, size_t first_row, size_t last_row);

    // Padding and NaN never win a maximum; padding counts in an average only with count_include_pad (as `zero`, real
    // 0).
    void (*max_pool_u8)(const octet_window *, const uint8_t *input, uint8_t *output, size_t first_row, size_t last_row);
    void (*max_pool_f32)(const octet_window *, const float *input, float *output, size_t first_row, size_t last_row);
    // out = round_half_even(clamp(float(Σ (a − zero)) * (1 / count) * scale)) + out_zero; scale = s_in / s_out
    void (*average_pool_u8)(const octet_window *, const uint8_t *input, int32_t zero, float scale, int32_t out_zero,
                            float lower, float upper, uint8_t *output, size_t first_row, size_t last_row);
    void (*average_pool_f32)(const octet_window *, const float *input, float *output, size_t first_row,
                             size_t last_row);

    // byte = round_half_even(clamp(x / scale, lower, upper)) + zero, NaN → zero; lower = qmin − zero, upper = qmax −
    // zero
    void (*quantize)(const float *x, size_t count, float scale, int32_t zero, float lower, float upper, uint8_t *out);
    void (*dequantize_u8)(const uint8_t *q, size_t count, float scale, int32_t zero, float *out);
    void (*dequantize_s8)(const int8_t *q, size_t count, float scale, int32_t zero, float *out);
    // The same by channel: scale and zero are those of the channel, lower = low − zero, upper = high − zero.
    void (*quantize_channels)(const octet_channels *, const float *x, const float *scale, const int32_t *zero,
                              int32_t low, int32_t high, uint8_t *out);
    void (*dequantize_channels_u8)(const octet_channels *, const uint8_t *q, const float *scale, const int32_t *zero,
                                   float *out);
    void (*dequantize_channels_s8)(const octet_channels *, const int8_t *q, const float *scale, const int32_t *zero,
                                   float *out);
    // ONNX's DynamicQuantizeLinear for every row of `columns`: its range and 0 make scale and zero point,
    //     scale = (max − min) / 255 (1 if that is 0),  zero = round_half_even(clamp(−min / scale, 0, 255))
    // and bytes as above. ±inf and NaN do not count for the range.
    void (*quantize_rows)(const float *x, size_t rows, size_t columns, uint8_t *out, float *scale, int32_t *zero);
    // As torch.fake_quantize_per_tensor_affine, which multiplies by the reciprocal:
    //     q = round_half_even(x * (1 / scale)) + zero,  out = (clamp(q, low, high) − zero) * scale
    // and mask = low ≤ q ≤ high (1 or 0), where the gradient passes; mask may be NULL. A NaN counts as −inf.
    void (*fake_quantize)(const float *x, size_t count, float scale, int32_t zero, int32_t low, int32_t high,
                          float *out, uint8_t *mask);
    void (*fake_quantize_channels)(const octet_channels *, const float *x, const float *scale, const int32_t *zero,
                                   int32_t low, int32_t high, float *out, uint8_t *mask);
    // out = round_half_even(clamp(float(q − zero) * scale, lower, upper)) + out_zero; scale = s_in / s_out
    void (*requantize_u8)(const uint8_t *q, size_t count, int32_t zero, float scale, int32_t out_zero, float lower,
                          float upper, uint8_t *out);
    // The same for rows of `columns` bytes, `stride` and `out_stride` bytes apart (one operand of a concatenation).
    void (*requantize_rows_u8)(const uint8_t *q, size_t stride, size_t rows, size_t columns, int32_t zero, float scale,
                               int32_t out_zero, float lower, float upper, uint8_t *out, size_t out_stride);
    // out = round_half_even(clamp(float(a − a_zero) * a_scale + float(b − b_zero) * b_scale, lower, upper)) + out_zero
    void (*add_u8)(const uint8_t *a, int32_t a_zero, float a_scale, const uint8_t *b, int32_t b_zero, float b_scale,
                   size_t count, int32_t out_zero, float lower, float upper, uint8_t *out);
    // out = round_half_even(clamp(float((a − a_zero) * (b − b_zero)) * scale, lower, upper)) + out_zero
    void (*mul_u8)(const uint8_t *a, int32_t a_zero, const uint8_t *b, int32_t b_zero, size_t count, float scale,
                   int32_t out_zero, float lower, float upper, uint8_t *out);
    void (*clamp_u8)(const uint8_t *q, size_t count, uint8_t lower, uint8_t upper, uint8_t *out);
    // out = table[q]; 256 entries
    void (*lookup_u8)(const uint8_t *q, size_t count, const uint8_t *table, uint8_t *out);
    // Copies rows of `columns` bytes, `stride` bytes apart, to rows `to_stride` bytes apart.
    void (*copy_rows_u8)(const uint8_t *from, size_t stride, size_t rows, size_t columns, uint8_t *to,
                         size_t to_stride);
    void (*clamp_f32)(const float *x, size_t count, float lower, float upper, float *out);
    void (*add_f32)(const float *a, const float *b, size_t count, float lower, float upper, float *out);
    void (*mul_f32)(const float *a, const float *b, size_t count, float *out);

    // The rest of float32 gives the same bits on every instruction set: no fused multiply-add, sums in a fixed order.
    // Largest errors found, in units of the last place: exp 1, tanh 1.3, sigmoid 2.2, erf 2.5, silu 2.8, gelu 5; what
    // would be smaller than 2⁻¹²⁴ comes with an absolute error of at most that. silu = x · sigmoid(x), gelu = x · Φ(x).
    void (*unary_f32)(octet_unary, const float *x, size_t count, float *out);
    // out = e^(x − max) / Σ e^(x − max) for every row of `columns`; log: out = x − max − ln Σ e^(x − max)
    void (*softmax_f32)(const float *x, size_t rows, size_t columns, float *out);
    void (*log_softmax_f32)(const float *x, size_t rows, size_t columns, float *out);
    // out = (x − mean) / √(variance + epsilon) · scale[i] + bias[i] for every row, mean and variance (biased) of the
    // row. NULL: no scale, no bias.
    void (*layer_norm_f32)(const float *x, size_t rows, size_t columns, const float *scale, const float *bias,
                           float epsilon, float *out);
    // The gates of `units` hidden units, the first of which the pointers point to. What comes from the input and what
    // comes from the state, each [rows, 4, hidden] in the order input i, forget f, fresh g, output o (that of
    // PyTorch), before activation and to be added:
    //     next_cell = σ(f) · cell + σ(i) · tanh(g),  out = σ(o) · tanh(next_cell);  next_cell may be cell
    void (*lstm_gates_f32)(const float *from_input, const float *from_state, const float *cell, size_t rows,
                           size_t hidden, size_t units, float *next_cell, float *out);
    // The same with each [rows, 3, hidden] in the order reset r, update z, fresh n (that of PyTorch; ONNX:
    // linear_before_reset):
    //     n' = tanh(n_input + σ(r) · n_state),  out = n' + σ(z) · (state − n');  out may be state
    void (*gru_gates_f32)(const float *from_input, const float *from_state, const float *state, size_t rows,
                          size_t hidden, size_t units, float *out);
    // What a product's epilogue needs for activations whose scale and zero point are known only when they are there:
    //     initial[c] = −zero · sums[c],  out_scale[c] = scale · scales[c]
    void (*scale_channels)(const int32_t *sums, const float *scales, size_t channels, float scale, int32_t zero,
                           int32_t *initial, float *out_scale);
    // The same for activations with a scale and a zero point for each row, after a product with int32 results:
    //     out = clamp(float(sum − zero[row] · sums[c]) · (scale[row] · scales[c]) + bias[c], lower, upper)
    void (*scale_rows)(const int32_t *sum, size_t rows, size_t channels, const float *scale, const int32_t *zero,
                       const int32_t *sums, const float *scales, const float *bias, float lower, float upper,
                       float *out);
    // [channels, pixels] → [pixels, channels] and back, of one image
    void (*to_nhwc_u8)(const uint8_t *from, size_t channels, size_t pixels, uint8_t *to);
    void (*to_nhwc_f32)(const float *from, size_t channels, size_t pixels, float *to);
    void (*to_nchw_u8)(const uint8_t *from, size_t channels, size_t pixels, uint8_t *to);
    void (*to_nchw_f32)(const float *from, size_t channels, size_t pixels, float *to);
    // Smallest and largest finite value; counts ±inf and NaN. Start with +inf, −inf, 0, 0; calls accumulate.
    void (*min_max)(const float *x, size_t count, float *minimum, float *maximum, size_t *infinities, size_t *nans);
    // The same for every channel; one count for all.
    void (*min_max_channels)(const octet_channels *, const float *x, float *minimum, float *maximum, size_t *infinities,
                             size_t *nans);
    // counts[i] += number of x with i = min(bins − 1, int((x − minimum) * (1 / width)…)) exactly as torch.histc:
    // i = int((x − minimum) * bins / (maximum − minimum)) in float32, x == maximum in the last bin; ±inf and outside:
    // dropped.
    void (*histogram)(const float *x, size_t count, float minimum, float maximum, float *counts, size_t bins);

    // Multiply-accumulates in registers only, `iterations` times around the loop: the peak of this instruction set's
    // dot product (int8) and of its float32 FMA. Returns the multiply-accumulates done.
    double (*peak_int8)(size_t iterations);
    double (*peak_float32)(size_t iterations);
} octet_isa;

// Weights of depthwise convolution, [channels, 1, kernel_h, kernel_w]. Integers are packed for one instruction set into
// 64-byte aligned memory; sums: Σ w of each channel (NULL: not wanted).
size_t octet_depthwise_packed_size(const octet_depthwise_layout *, size_t channels, size_t kernel_h, size_t kernel_w);
void octet_depthwise_pack_s8(const octet_depthwise_layout *, const int8_t *weights, size_t channels, size_t kernel_h,
                             size_t kernel_w, void *packed, int32_t *sums);
// Floats → [kernel_h, kernel_w, channels]
void octet_depthwise_pack_f32(const float *weights, size_t channels, size_t taps, float *packed);

// MARK: - Misuse

// Why no kernel may be given a shape (kernels check nothing themselves), or NULL if it may: empty sizes, channels that
// groups do not divide, sizes whose products overflow and, for integers, sums that int32 does not hold. Whether windows
// lie on the image is no question: what lies outside reads as padding.
const char *octet_conv_refusal(const octet_conv_shape *, size_t batch, bool integers);
const char *octet_conv_transpose_refusal(const octet_conv_shape *, size_t batch, bool integers);
const char *octet_window_refusal(const octet_window *, size_t batch);

// MARK: - Dispatch

// All instruction sets of this architecture, best first; the last one is "scalar" and needs nothing.
const octet_isa *const *octet_isa_all(size_t *count);
// The instruction set of that name, whether this CPU has it or not; NULL if there is none.
const octet_isa *octet_isa_named(const char *name);
// The first one that this CPU supports.
const octet_isa *octet_isa_best(void);

#ifdef __cplusplus
}
#endif
#endif
