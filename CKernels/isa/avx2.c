#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "../conv_chain.h"
#include "../depthwise.h"
#include "../internal.h"
#include "../weights.h"
#include "../window.h"
#include "target.h"

// Outside the region: this runs on every CPU.
static bool isa_supported(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

OCTET_TARGET_BEGIN("avx2,fma")
#include "avx2.h"

#include "../generic/descriptor.inc"
OCTET_TARGET_END
#endif
