#include "kind.h"

// One line for each kind; its file is in kinds/.
#define KINDS(KIND)              \
    KIND(gemm)                   \
    KIND(conv)                   \
    KIND(float_gemm)             \
    KIND(float_conv)             \
    KIND(conv_transpose)         \
    KIND(float_conv_transpose)   \
    KIND(depthwise)              \
    KIND(float_depthwise)        \
    KIND(max_pool)               \
    KIND(average_pool)           \
    KIND(quantize)               \
    KIND(dequantize)             \
    KIND(requantize)             \
    KIND(add)                    \
    KIND(mul)                    \
    KIND(clamp)                  \
    KIND(float_clamp)            \
    KIND(float_add)              \
    KIND(float_mul)              \
    KIND(transpose)              \
    KIND(min_max)                \
    KIND(histogram)              \
    KIND(lookup)                 \
    KIND(fake_quantize)          \
    KIND(function)               \
    KIND(copy_rows)              \
    KIND(requantize_rows)        \
    KIND(quantize_rows)          \
    KIND(softmax)                \
    KIND(layer_norm)             \
    KIND(lstm_gates)             \
    KIND(gru_gates)              \
    KIND(scale_rows)             \
    KIND(scale_channels)         \
    KIND(quantize_channels)      \
    KIND(dequantize_channels)    \
    KIND(fake_quantize_channels) \
    KIND(min_max_channels)       \
    KIND(sgemm)                  \
    KIND(matmul)                 \
    KIND(weight_only)

#define KIND(name) extern const octet_kind octet_kind_##name;
KINDS(KIND)
#undef KIND

static const octet_kind *const kinds[] = {
#define KIND(name) &octet_kind_##name,
    KINDS(KIND)
#undef KIND
};

const octet_kind *const *octet_kinds(size_t *count) {
    *count = OCTET_COUNT(kinds);
    return kinds;
}

const octet_kind *octet_kind_named(const char *name) {
    for (size_t i = 0; i < OCTET_COUNT(kinds); i++)
        if (strcmp(kinds[i]->name, name) == 0) return kinds[i];
    return NULL;
}
