// Which optional instructions an arm64 CPU has, as the operating system tells; where it does not, none.
#if defined(__APPLE__)
#include <sys/sysctl.h>
static inline bool arm64_says(const char *name) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value != 0;
}
static inline bool arm64_has_dotprod(void) { return arm64_says("hw.optional.arm.FEAT_DotProd"); }
static inline bool arm64_has_i8mm(void) { return arm64_says("hw.optional.arm.FEAT_I8MM"); }
#elif defined(__linux__)
#include <sys/auxv.h>
// Bits of AT_HWCAP and AT_HWCAP2, which older headers do not name.
static inline bool arm64_has_dotprod(void) { return getauxval(AT_HWCAP) & 1ul << 20; }
static inline bool arm64_has_i8mm(void) { return getauxval(AT_HWCAP2) & 1ul << 13; }
#else
static inline bool arm64_has_dotprod(void) { return false; }
static inline bool arm64_has_i8mm(void) { return false; }
#endif
