// Target regions, inlining and unrolling in the spelling of the compiler at hand.
//
// A region compiles the functions between OCTET_TARGET_BEGIN and OCTET_TARGET_END for more than the build's baseline,
// so that one build holds every instruction set of its architecture. System headers are included before a region
// starts.
#ifndef OCTET_TARGET_H
#define OCTET_TARGET_H

#define OCTET_PRAGMA(text) _Pragma(#text)
#define OCTET_INLINE static inline __attribute__((always_inline))

#if defined(__clang__)
#define OCTET_TARGET_BEGIN(features) \
    OCTET_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define OCTET_TARGET_END OCTET_PRAGMA(clang attribute pop)
#define OCTET_UNROLL OCTET_PRAGMA(clang loop unroll(full))
#define OCTET_UNROLL_4 OCTET_PRAGMA(clang loop unroll_count(4))
#define OCTET_ROLLED OCTET_PRAGMA(clang loop unroll(disable))
// Fused multiply-add changes results: only what is written as one may become one. (gcc: -ffp-contract=off.)
#pragma STDC FP_CONTRACT OFF
#else
#define OCTET_TARGET_BEGIN(features) OCTET_PRAGMA(GCC push_options) OCTET_PRAGMA(GCC target(features))
#define OCTET_TARGET_END OCTET_PRAGMA(GCC pop_options)
#define OCTET_UNROLL OCTET_PRAGMA(GCC unroll 64)
#define OCTET_UNROLL_4 OCTET_PRAGMA(GCC unroll 4)
#define OCTET_ROLLED OCTET_PRAGMA(GCC unroll 1)
#endif

#endif
