// Products of float activations with weights of 4 or 8 bits: what the loop over tiles and the tiles agree on.
#ifndef OCTET_WEIGHTS_H
#define OCTET_WEIGHTS_H

#include "internal.h"

// Activations are quantized in groups of so many.
enum { octet_activation_group_size = 32 };
struct octet_activation_group {
    float scale;
    int32_t sum;  // Σ bytes
    int8_t bytes[octet_activation_group_size];
};

// Some rows × some panels of nr channels. Strides are from one panel to the next, in elements.
struct octet_weights_tile {
    size_t rows, panels;
    const octet_activation_group *const *row;
    size_t groups;           // of activations in a row
    size_t groups_of_scale;  // of activations that share a scale of weights
    const uint8_t *weights;
    size_t panel_stride;
    const float *scales;
    const uint8_t *zeros;  // NULL: all `zero`
    size_t scale_stride;   // of zeros too
    int32_t zero;
    const float *bias;  // the first channel's; NULL: none
    float lower, upper;
    size_t channels;  // how many exist: 1 ... panels · nr
    float *output;    // the first channel of the first row
    size_t output_stride;
};

#endif
