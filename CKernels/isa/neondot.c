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
static bool isa_supported(void) { return arm64_has_dotprod(); }

OCTET_TARGET_BEGIN("arch=armv8.2-a+dotprod")
#include "neondot.h"

#include "../generic/descriptor.inc"
OCTET_TARGET_END
#endif
