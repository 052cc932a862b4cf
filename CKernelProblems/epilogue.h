// The epilogues of GEMM, convolution and depthwise convolution: their parameters, their data, their definition.
#ifndef OCTET_PROBLEMS_EPILOGUE_H
#define OCTET_PROBLEMS_EPILOGUE_H

#include "kind.h"

#define OCTET_INTEGER_EPILOGUE                                                                                     \
    OCTET_CHOICE("output", "uint8", "int32", "float32"), OCTET_CHOICE("residual", "no", "yes"),                    \
        OCTET_CHOICE("clamp", "bytes", "relu", "signed", "odd"), OCTET_CHOICE("scales", "spread", "half", "huge"), \
        OCTET_CHOICE("promise", "no", "yes"), OCTET_NUMBER("input_zero", 0, 255, 128, 0, 255, 128, 3),             \
        OCTET_ACTIVATIONS, OCTET_WEIGHTS
// Whether weights have zero points: for kinds that know them.
#define OCTET_WEIGHT_ZERO OCTET_CHOICE("weight_zero", "no", "yes")
#define OCTET_FLOAT_EPILOGUE OCTET_CHOICE("residual", "no", "yes"), OCTET_CHOICE("clamp", "none", "relu")

// Arrays by channel have one element for each channel, however an instruction set wants them.
typedef struct {
    octet_epilogue epilogue;  // without the arrays
    size_t channels;
    const int32_t *sums_bias;    // [channels], NULL for floats
    const float *scale;          // [channels], NULL for floats
    const float *bias;           // [channels]
    const int32_t *weight_zero;  // [channels], NULL: all 0
    size_t depth;                // products in a sum
    size_t output;               // the buffer
} octet_epilogue_data;

// Adds the inputs and the output of `count` elements. depth: products in a sum.
octet_epilogue_data octet_integer_epilogue_make(octet_problem *, octet_random *, size_t channels, size_t depth,
                                                size_t count);
octet_epilogue_data octet_float_epilogue_make(octet_problem *, octet_random *, size_t channels, size_t depth,
                                              size_t count);
// The arrays by channel as a kernel wants them: channel c of group g at g · (padded / groups) + c. weight_sums: padded
// likewise; NULL for floats.
octet_epilogue octet_epilogue_pack(octet_problem *, const octet_epilogue_data *, size_t padded, size_t groups,
                                   const int32_t *weight_sums, int32_t input_zero);
// Writes the exact answer for element `index` of the output, given Σ (a − za) · (w − zw).
void octet_integer_finish(octet_problem *, const octet_epilogue_data *, size_t index, int64_t sum);
void octet_float_finish(octet_problem *, const octet_epilogue_data *, size_t index, double sum);

// Calls `finish` with every sum of a convolution: the definition, one loop per index. A GEMM is a convolution, and a
// depthwise convolution one with a group for each channel.
void octet_naive_convolution(octet_problem *, const octet_epilogue_data *, const octet_conv_shape *, size_t batch,
                             const uint8_t *input, int32_t input_zero, const int8_t *weights);
void octet_naive_float_convolution(octet_problem *, const octet_epilogue_data *, const octet_conv_shape *, size_t batch,
                                   const float *input, const float *weights);
octet_work octet_convolution_work(const octet_conv_shape *, size_t batch, size_t input_size, size_t output_size);

#endif
