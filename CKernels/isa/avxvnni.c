#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "../depthwise.h"
#include "../internal.h"
#include "../weights.h"
#include "../window.h"
#include "target.h"

// Outside the region: this runs on every CPU. Not all compilers' __builtin_cpu_supports know this name; what it says of
// AVX2 holds for the system's support of 256-bit registers, which is all that AVX-VNNI needs beside the CPU's.
static bool isa_supported(void) {
    __builtin_cpu_init();
    unsigned eax, ebx, ecx, edx;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return false;
    return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & 1u << 4);
}

OCTET_TARGET_BEGIN("avx2,fma,avxvnni")
#include "avxvnni.h"

#include "../generic/descriptor.inc"
OCTET_TARGET_END
#endif
