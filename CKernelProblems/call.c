#include "include/octet_problems.h"

void octet_conv_call_repeat(const octet_conv_call *call, size_t times) {
    for (size_t i = 0; i < times; i++)
        octet_conv_run(call->family, &call->shape, 1, call->input, 0, call->packed, &call->epilogue, call->output, 1, 0,
                       1, call->scratch);
}
