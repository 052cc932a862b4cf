#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "../depthwise.h"
#include "../internal.h"
#include "../weights.h"
#include "../window.h"
#include "target.h"

// Outside the region: this runs on every CPU.
static bool isa_supported(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma");
}

OCTET_TARGET_BEGIN("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")
#include "avx512vnni.h"

#include "../generic/descriptor.inc"
OCTET_TARGET_END
#endif
