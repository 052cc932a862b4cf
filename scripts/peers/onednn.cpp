// What the comparison calls of oneDNN: a product in the forms that its users give it (matmul, inner product, 1×1
// convolution) and convolutions in the layouts that its primitives pick. Weights are reordered once; runs are timed
// here.
//
// u8 · s8 → u8 with one multiplier per channel. It carries the scales of all three, which is the least work; the clamp
// to 0 … 255 with a zero point of 0 is the ReLU.
#include <dnnl.hpp>
#include <omp.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

using namespace dnnl;
using dims = memory::dims;
using tag = memory::format_tag;
using type = memory::data_type;

namespace {

engine &cpu() {
    static engine e(engine::kind::cpu, 0);
    return e;
}

struct Job {
    int threads;
    stream queue{cpu()};
    primitive run;
    std::unordered_map<int, memory> arguments;
    std::vector<dnnl_exec_arg_t> list;  // the same, in the form that costs least in a call
    memory destination;
    std::string implementation;

    explicit Job(int threads) : threads(threads) { omp_set_num_threads(threads); }

    memory reordered(const memory &from, const memory::desc &wanted) {
        if (from.get_desc() == wanted) return from;
        memory to(wanted, cpu());
        reorder(from, to).execute(queue, const_cast<memory &>(from), to);
        queue.wait();
        return to;
    }
};

struct Operands {
    const void *input, *weights, *bias;
    const float *multiplier;
    int64_t outputs;
    int32_t input_zero;
};

memory wrap(const memory::desc &desc, const void *data) { return memory(desc, cpu(), const_cast<void *>(data)); }

primitive_attr attributes(const Operands &o, int mask) {
    primitive_attr attr;
    attr.set_scales_mask(DNNL_ARG_WEIGHTS, mask);
    if (o.input_zero) attr.set_zero_points_mask(DNNL_ARG_SRC, 0);
    return attr;
}

memory copied(const memory::desc &desc, const void *data) {
    memory m(desc, cpu());
    std::memcpy(m.get_data_handle(), data, desc.get_size());
    return m;
}

template <typename Desc>
Job *start(Job *job, const Desc &desc) {
    job->implementation = desc.impl_info_str();
    for (const auto &[key, value] : job->arguments) job->list.push_back({key, value.get()});
    job->run = primitive(desc.get());
    return job;
}

// Everything that products of all kinds are given in the same way.
template <typename Desc>
Job *finish(Job *job, const Desc &desc, const Operands &o, const memory &input, const memory &weights) {
    job->destination = memory(desc.dst_desc(), cpu());
    job->arguments = {
        {DNNL_ARG_SRC, job->reordered(input, desc.src_desc())},
        {DNNL_ARG_WEIGHTS, job->reordered(weights, desc.weights_desc())},
        {DNNL_ARG_DST, job->destination},
        {DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS, copied({{o.outputs}, type::f32, tag::x}, o.multiplier)},
    };
    if (o.bias) {
        // As a float after the multiplier.
        std::vector<float> bias(o.outputs);
        for (int64_t c = 0; c < o.outputs; c++)
            bias[c] = static_cast<float>(static_cast<const int32_t *>(o.bias)[c]) * o.multiplier[c];
        job->arguments[DNNL_ARG_BIAS] = copied({{o.outputs}, type::f32, tag::x}, bias.data());
    }
    if (o.input_zero)
        job->arguments[DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_SRC] = copied({{1}, type::s32, tag::x}, &o.input_zero);
    return start(job, desc);
}

}  // namespace

extern "C" {

// a: [m, k], weights: [n, k]; the result is [m, n], both row-major. form: 0 matmul, 1 inner product, 2 and 3 a 1×1
// convolution over m × 1 and 1 × m pixels. NULL: oneDNN has no such primitive.
void *onednn_gemm(int form, int threads, int64_t m, int64_t n, int64_t k, const void *a, const void *weights,
                  const float *multiplier, int32_t input_zero) {
    auto *job = new Job(threads);
    const Operands o{a, weights, nullptr, multiplier, n, input_zero};
    try {
        if (form == 0) {
            const matmul::primitive_desc desc(cpu(), {{m, k}, type::u8, tag::ab}, {{k, n}, type::s8, tag::any},
                                              {{m, n}, type::u8, tag::ab}, attributes(o, 2));
            return finish(job, desc, o, wrap({{m, k}, type::u8, tag::ab}, a),
                          wrap({{k, n}, type::s8, tag::ba}, weights));
        }
        if (form == 1) {
            const inner_product_forward::primitive_desc desc(cpu(), prop_kind::forward_inference,
                                                             {{m, k}, type::u8, tag::ab}, {{n, k}, type::s8, tag::any},
                                                             {{m, n}, type::u8, tag::ab}, attributes(o, 1));
            return finish(job, desc, o, wrap({{m, k}, type::u8, tag::ab}, a),
                          wrap({{n, k}, type::s8, tag::ab}, weights));
        }
        const dims from = form == 2 ? dims{1, k, m, 1} : dims{1, k, 1, m};
        const dims to = form == 2 ? dims{1, n, m, 1} : dims{1, n, 1, m};
        const convolution_forward::primitive_desc desc(
            cpu(), prop_kind::forward_inference, algorithm::convolution_direct, {from, type::u8, tag::nhwc},
            {{n, k, 1, 1}, type::s8, tag::any}, {to, type::u8, tag::nhwc}, {1, 1}, {0, 0}, {0, 0}, attributes(o, 1));
        return finish(job, desc, o, wrap({from, type::u8, tag::nhwc}, a),
                      wrap({{n, k, 1, 1}, type::s8, tag::oihw}, weights));
    } catch (const error &) {
        delete job;
        return nullptr;
    }
}

// input: [batch, size, size, inputs], weights: [outputs, inputs / groups, kernel, kernel]; layouts are the primitive's
// choice.
void *onednn_conv(int threads, int64_t batch, int64_t inputs, int64_t outputs, int64_t size, int64_t kernel,
                  int64_t stride, int64_t pad, int64_t groups, const void *input, const void *weights,
                  const int32_t *bias, const float *multiplier, int32_t input_zero) {
    auto *job = new Job(threads);
    const Operands o{input, weights, bias, multiplier, outputs, input_zero};
    const int64_t out = (size + 2 * pad - kernel) / stride + 1;
    const dims from{batch, inputs, size, size}, to{batch, outputs, out, out};
    const dims filter = groups == 1 ? dims{outputs, inputs, kernel, kernel}
                                    : dims{groups, outputs / groups, inputs / groups, kernel, kernel};
    try {
        const convolution_forward::primitive_desc desc(
            cpu(), prop_kind::forward_inference, algorithm::convolution_direct, {from, type::u8, tag::any},
            {filter, type::s8, tag::any}, {{outputs}, type::f32, tag::x}, {to, type::u8, tag::any}, {stride, stride},
            {pad, pad}, {pad, pad}, attributes(o, groups == 1 ? 1 : 3));
        return finish(job, desc, o, wrap({from, type::u8, tag::nhwc}, input),
                      wrap({filter, type::s8, groups == 1 ? tag::oihw : tag::goihw}, weights));
    } catch (const error &) {
        delete job;
        return nullptr;
    }
}

// Bytes of an image [channels, size, size] → [size, size, channels].
void *onednn_layout(int threads, int64_t channels, int64_t size, const void *from) {
    auto *job = new Job(threads);
    const dims shape{1, channels, size, size};
    const memory source = wrap({shape, type::u8, tag::nchw}, from);
    job->destination = memory({shape, type::u8, tag::nhwc}, cpu());
    job->arguments = {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, job->destination}};
    return start(job, reorder::primitive_desc(source, job->destination));
}

// Float product of row-major matrices, by oneDNN's own BLAS-like call.
double onednn_sgemm(int threads, int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c, int count) {
    omp_set_num_threads(threads);
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < count; i++) sgemm('N', 'N', m, n, k, 1, a, k, b, n, 0, c, n);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Runs a job `count` times; seconds for all of them.
double onednn_run(void *handle, int count) {
    auto *job = static_cast<Job *>(handle);
    omp_set_num_threads(job->threads);
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < count; i++)
        dnnl_primitive_execute(job->run.get(), job->queue.get(), static_cast<int>(job->list.size()), job->list.data());
    job->queue.wait();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The result as [pixels, channels] in `output`: for GEMM as it stands, for convolution out of the primitive's layout.
void onednn_output(void *handle, void *output) {
    auto *job = static_cast<Job *>(handle);
    const auto desc = job->destination.get_desc();
    const auto shape = desc.get_dims();
    if (shape.size() == 2) {
        std::memcpy(output, job->destination.get_data_handle(), desc.get_size());
        return;
    }
    memory to({shape, type::u8, tag::nhwc}, cpu(), output);
    reorder(job->destination, to).execute(job->queue, job->destination, to);
    job->queue.wait();
}

const char *onednn_implementation(void *handle) { return static_cast<Job *>(handle)->implementation.c_str(); }
void onednn_free(void *handle) { delete static_cast<Job *>(handle); }
const char *onednn_version() {
    static const auto *v = dnnl_version();
    static const std::string text =
        std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
    return text.c_str();
}
}
