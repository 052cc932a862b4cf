#if defined(__aarch64__)
#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "../depthwise.h"
#include "../internal.h"
#include "../weights.h"
#include "../window.h"
#include "arm64_features.h"
#include "target.h"

// Outside the region: this runs on every CPU.
static bool isa_supported(void) { return arm64_has_dotprod() && arm64_has_i8mm(); }

OCTET_TARGET_BEGIN("arch=armv8.2-a+dotprod+i8mm")
#include "neoni8mm.h"

#include "../generic/descriptor.inc"
OCTET_TARGET_END
#endif
