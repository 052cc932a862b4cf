#if defined(__aarch64__)
#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "../depthwise.h"
#include "../internal.h"
#include "../weights.h"
#include "../window.h"
#include "target.h"

static bool isa_supported(void) { return true; }

#include "neon.h"

#include "../generic/descriptor.inc"
#endif
