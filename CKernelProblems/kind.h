// What the file of a kind is written with.
#ifndef OCTET_PROBLEMS_KIND_H
#define OCTET_PROBLEMS_KIND_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/octet_problems.h"
#include "memory.h"

// The exact answers round where the formulas say so. (gcc: -ffp-contract=off.)
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

// MARK: - Parameters

#define OCTET_COUNT(array) (sizeof(array) / sizeof(array)[0])
#define OCTET_GRID(...) \
    .grid = (const int64_t[]){__VA_ARGS__}, .grid_count = sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)
#define OCTET_NUMBER(name_, low_, high_, usual_, ...) \
    {.name = name_, .low = low_, .high = high_, .usual = usual_, OCTET_GRID(__VA_ARGS__)}
#define OCTET_CROSSED(name_, low_, high_, usual_, ...) \
    {.name = name_, .low = low_, .high = high_, .usual = usual_, .crossed = true, OCTET_GRID(__VA_ARGS__)}
// One of some names; the first is the usual one.
#define OCTET_CHOICE(name_, ...)               \
    {.name = name_,                            \
     .choices = (const char *[]){__VA_ARGS__}, \
     .high = (int64_t)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)) - 1}

// Every kind starts with these. memory: how buffers lie between their guards; threads: for how many the work is split.
#define OCTET_COMMON_PARAMETERS                                                                            \
    {.name = "seed", .high = INT64_MAX, .usual = 1}, OCTET_CHOICE("memory", "behind", "front", "aligned"), \
        OCTET_NUMBER("threads", 1, 64, 1, 1, 1, 2, 3, 8)

// The value of a parameter; asking for one that the kind does not have is a mistake in the kind, and aborts.
int64_t octet_value(const octet_kind *, const int64_t *values, const char *name);
static inline size_t octet_size(const octet_kind *kind, const int64_t *values, const char *name) {
    return (size_t)octet_value(kind, values, name);
}

// MARK: - Buffers

typedef enum { octet_u8, octet_s8, octet_s32, octet_f32, octet_count } octet_element;
size_t octet_element_size(octet_element);

typedef struct {
    octet_element type;
    bool output;
    double tolerance;  // of a float output; 0: exact
    double relative;   // what may be added to it, as a share of the exact answer
    octet_block block;
    void *initial, *expected;  // of an output
    uint64_t digest;           // of an input
} octet_buffer;

enum { octet_most_buffers = 12, octet_most_packed = 12 };

struct octet_problem {
    const octet_kind *kind;
    int64_t values[octet_most_parameters];
    void *state;  // kind->state_size bytes, the kind's own

    octet_buffer buffers[octet_most_buffers];
    size_t buffer_count;
    bool expected;  // the exact answer is known

    // What depends on the instruction set.
    const octet_isa *isa;
    size_t threads, parts;
    octet_block packed[octet_most_packed];
    size_t packed_count;
    octet_block *scratch;  // one for each thread
    size_t scratch_count, scratch_size;
};

static inline int64_t octet_get(const octet_problem *p, const char *name) {
    return octet_value(p->kind, p->values, name);
}

// For `make`: buffers, numbered in the order in which they are added. An input is to be filled; an output holds
// canaries, which is what it starts as unless `make` writes something else.
void *octet_add_input(octet_problem *, octet_element, size_t count);
void *octet_add_output(octet_problem *, octet_element, size_t count, double tolerance);
// For `expect`: where the exact answer goes. It starts as the output does.
static inline void *octet_expected(octet_problem *p, size_t buffer) { return p->buffers[buffer].expected; }
static inline void *octet_data(octet_problem *p, size_t buffer) { return p->buffers[buffer].block.data; }
// For `prepare`: memory that depends on the instruction set. It also sets p->scratch_size (cache lines) and returns
// into how many parts the work is split; `run` does parts first ..< last.
void *octet_add_packed(octet_problem *, size_t size, size_t alignment);

// Parts for so many threads, where every row or element can be one.
static inline size_t octet_parts(size_t count, size_t threads) {
    return count >= threads ? threads : count > 0 ? count : 1;
}
// Element `part` of `parts` equal shares of `count`.
static inline size_t octet_share(size_t count, size_t part, size_t parts) { return count * part / parts; }

// MARK: - Data, the same on every platform

// SplitMix64
typedef struct {
    uint64_t state;
} octet_random;
static inline uint64_t octet_random_next(octet_random *r) {
    uint64_t z = r->state += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}
static inline int64_t octet_random_between(octet_random *r, int64_t low, int64_t high) {
    return low + (int64_t)(octet_random_next(r) % ((uint64_t)(high - low) + 1));
}
static inline float octet_random_float(octet_random *r, float low, float high) {
    const float unit = (float)(octet_random_next(r) >> 40) * 0x1p-24f;
    return low + (high - low) * unit;
}
static inline octet_random octet_random_of(const octet_problem *p) {
    return (octet_random){(uint64_t)octet_get(p, "seed")};
}
void octet_random_floats(octet_random *, float *to, size_t count, float low, float high);

// Patterns of activations and of weights [channels, depth].
#define OCTET_ACTIVATIONS OCTET_CHOICE("activations", "random", "all255", "all0", "alternating", "ends", "small")
void octet_fill_activations(octet_random *, int64_t pattern, uint8_t *to, size_t count);
// small: 0 ... 3 and −3 ... 3; normal: bell-shaped, the largest of a channel 127; giant: small but for one; bound:
// powers of two whose sums reach 128 exactly; hollow: channels of zeros between normal ones.
#define OCTET_WEIGHTS                                                                                                 \
    OCTET_CHOICE("weights", "normal", "uniform", "full", "extremes", "low", "high", "alternating", "giant", "sparse", \
                 "bound", "hollow", "small")
void octet_fill_weights(octet_random *, int64_t pattern, int8_t *to, size_t channels, size_t depth);

// MARK: - Rounding, written without the tricks that kernels use

// Half to even, of |x| < 2³¹.
static inline int32_t octet_round_half_even(float x) {
    int32_t whole = (int32_t)x;
    if ((float)whole > x) whole--;
    const float fraction = x - (float)whole;
    return whole + (fraction > 0.5f || (fraction == 0.5f && (whole & 1)));
}
static inline float octet_clamp(float x, float lower, float upper) { return x < lower ? lower : x > upper ? upper : x; }
// A byte as every requantization makes one.
static inline uint8_t octet_requantized(float real, float lower, float upper, int32_t zero) {
    return (uint8_t)(octet_round_half_even(octet_clamp(real, lower, upper)) + zero);
}

// Fake quantization of a number of steps from zero; inside: whether it was in range.
static inline float octet_fake_quantized(float steps, float scale, int32_t zero, int32_t low, int32_t high,
                                         uint8_t *inside) {
    // One step beyond the range nothing matters any more, and NaN counts as too small.
    const float bounded = steps > (float)(low - zero - 1) ? steps : (float)(low - zero - 1);
    const int32_t q = octet_round_half_even(octet_clamp(bounded, -0x1p24f, (float)(high - zero + 1))) + zero;
    *inside = q >= low && q <= high;
    return (float)((q < low ? low : q > high ? high : q) - zero) * scale;
}

#endif
