#include <string.h>

#include "conv_chain.h"

// Copies one weight; sizes are those of int8 and float32.
static inline void copy_weight(char *to, const char *from, size_t size) {
    if (size == 1) {
        *to = *from;
    } else {
        memcpy(to, from, sizeof(float));
    }
}

void octet_conv_pack(const octet_gemm_family *family, const octet_conv_shape *shape, const void *weights, void *packed,
                     int32_t *sums) {
    const octet_conv_plan plan = octet_conv_plan_make(family, shape, 1);
    const size_t size = family->weight_size, nr = family->nr, kr = family->kr;
    const size_t kernel = shape->kernel_h * shape->kernel_w;
    const size_t per_channel = plan.group_inputs * kernel;
    memset(packed, 0, plan.panel_size * plan.group_panels * shape->groups);
    if (sums && size == 1) memset(sums, 0, octet_conv_padded_channels(family, shape) * sizeof *sums);

    for (size_t channel = 0; channel < shape->out_c; channel++) {
        const size_t group = octet_quotient(channel, plan.group_outputs), lane = channel - group * plan.group_outputs;
        const char *from = (const char *)weights + channel * per_channel * size;
        char *panel = (char *)packed + (group * plan.group_panels + lane / nr) * plan.panel_size;
        for (size_t tap = 0; tap < kernel; tap++) {
            // Runs hold the weights of one or more taps, input channel by input channel.
            const size_t first = tap * plan.group_inputs, run = octet_quotient(first, plan.run_length);
            const size_t k = first - run * plan.run_length;
            size_t within = k % kr;
            char *to = panel + plan.header_size + (run * plan.steps + k / kr) * nr * kr * size + lane % nr * kr * size;
            for (size_t e = 0; e < plan.group_inputs; e++) {
                if (plan.header_size)
                    ((int32_t *)panel)[lane % nr] += family->shifts[within * 2 / kr] * (int8_t)from[e * kernel + tap];
                const size_t place = family->interleaved ? within % 2 * 2 + within / 2 : within;
                copy_weight(to + place * size, from + (e * kernel + tap) * size, size);
                if (++within == kr) within = 0, to += nr * kr * size;
            }
        }
        if (sums && size == 1) {
            int32_t sum = 0;
            for (size_t i = 0; i < per_channel; i++) sum += (int8_t)from[i];
            sums[group * plan.group_panels * nr + lane] = sum;
        }
    }
    octet_chain_pack(&plan, weights, packed);
}
