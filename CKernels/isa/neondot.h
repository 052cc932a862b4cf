// The vocabulary of NEON with the dot product of signed bytes (sdot: four products into a lane, exact). Activations
// are made signed when they are loaded, by taking 128 from them; what that takes from sums stands in front of a panel.
#define ISA_NAME "neondot"
#define ISA_SYMBOL octet_isa_neondot
#define ISA_FEATURES "NEON DotProd"
#define ISA_DOT "sdot"

#include "neon_tiles.h"
#include "neon_vectors.h"

#define INT8_KR 4
#define INT8_SHIFTS {128, 128}
typedef uint8_t int8_stored;
typedef int8x16_t int8_activations;
typedef int8x16_t int8_weights;
OCTET_INLINE int8_activations int8_signed(uint8x16_t a) { return vreinterpretq_s8_u8(veorq_u8(a, vdupq_n_u8(0x80))); }
OCTET_INLINE int8_activations int8_broadcast(const void *p) {
    uint32_t four;
    memcpy(&four, p, sizeof four);
    return int8_signed(vreinterpretq_u8_u32(vdupq_n_u32(four)));
}
OCTET_INLINE int8_weights int8_load_weights(const void *p) { return vld1q_s8(p); }
OCTET_INLINE int_vector int8_dot(int_vector sum, int8_activations a, int8_weights w) { return vdotq_s32(sum, w, a); }

#define LANED(name) int8_##name
#define LANED_NAME "sdot"
#define LANED_VECTOR int_vector
#define LANED_LOAD(p) int8_signed(vld1q_u8((const uint8_t *)(p)))
#define LANED_DOT(sum, w, a, lane) vdotq_laneq_s32(sum, w, a, lane)
#define LANED_HEADER 1
#include "neon_laned.inc"

// MARK: - Weights of 4 and 8 bits by signed activations

#define QUAD_PANELS 2
#define QUAD_SHIFT 128
typedef int8x16_t quad_weights;
OCTET_INLINE quad_weights quad_weights_make(byte_vector w) { return vreinterpretq_s8_u8(w); }
OCTET_INLINE int_vector quad_dot(int_vector sums, quad_weights w, quad_activations a) { return vdotq_s32(sums, w, a); }
OCTET_INLINE int_vector nibble_dot(int_vector sums, byte_vector w, quad_activations a) {
    return vdotq_s32(sums, vreinterpretq_s8_u8(w), a);
}
#include "quads.h"

#define STACK_SHIFT 128
#define STACK_DOT(sum, a, w) vdotq_s32(sum, a, w)
#include "neon_depthwise.h"
