// The kernels of CKernels as a table of problems: what tests compare, fuzzing draws and benchmarks time.
//
// A *kind* is a family of kernels with named integer parameters; a *problem* is a kind with a value for each. A problem
// makes its own inputs (the same on every platform), runs on any instruction set, knows the exact answer by the most
// naive computation there is, and says how much work it is. Its memory has guard pages, so that reading or writing one
// byte too many crashes, and canaries where nothing may be written.
//
// A problem's text is `kind name=value name=value …`; what is not named has its usual value.
#ifndef OCTET_PROBLEMS_H
#define OCTET_PROBLEMS_H

#include "octet_kernels.h"
#include "octet_thread_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { octet_most_parameters = 40, octet_most_text = 1024 };

// MARK: - The table

typedef struct {
    const char *name;
    int64_t low, high;           // what the kernel takes
    int64_t usual;               // where nothing else is said
    const char *const *choices;  // the names of low ... high; NULL: a number
    const int64_t *grid;         // values worth trying
    size_t grid_count;
    bool crossed;  // the grid has every combination of these, and draws one of the other parameters each time
} octet_parameter;

// What a problem amounts to: `macs` multiply-accumulates, or 0 where memory traffic (`bytes`, read and written once
// each) is what counts.
typedef struct {
    double macs, bytes, outputs;
} octet_work;

typedef struct octet_problem octet_problem;
typedef struct octet_kind octet_kind;
struct octet_kind {
    const char *name;
    const octet_parameter *parameters;
    size_t parameter_count;
    size_t draws;              // how often the grid has every combination of the crossed ones; 0: once
    const char *const *cases;  // more problems that the grid contains, as text without the kind; NULL at the end
    bool exact;                // every instruction set gives the same bits
    bool sequential;           // parts of the work accumulate into one result: one thread only
    // Why no kernel may see these values; NULL: it may.
    const char *(*refusal)(const octet_kind *, const int64_t *values);
    octet_work (*work)(const octet_kind *, const int64_t *values);

    // The rest is called by the functions below; kind.h says what each has to do.
    size_t state_size;
    void (*make)(octet_problem *);
    void (*expect)(octet_problem *);
    size_t (*prepare)(octet_problem *);
    void (*run)(octet_problem *, size_t first, size_t last, void *scratch);
};

const octet_kind *const *octet_kinds(size_t *count);
const octet_kind *octet_kind_named(const char *name);  // NULL: none

// MARK: - Values

void octet_usual_values(const octet_kind *, int64_t *values);
// Reads a problem's text. Returns its kind, or NULL and in `message` why not. A kind's own text may lack the kind's
// name if `kind` is given.
const octet_kind *octet_parse_problem(const char *text, const octet_kind *kind, int64_t *values, char *message,
                                      size_t size);
// Writes the text of a problem, leaving out usual values.
void octet_format_problem(const octet_kind *, const int64_t *values, char *text, size_t size);
// The index of a parameter, or −1.
int octet_parameter_index(const octet_kind *, const char *name);

// Problem `index` of the grid; false if there is no such problem because a kernel refuses these values.
size_t octet_grid_count(const octet_kind *);
bool octet_grid_values(const octet_kind *, size_t index, int64_t *values);
// Values from a source of numbers 0 ..< bound: half of them from the grid, half from anywhere within the grid's bounds.
// False if a kernel refuses them or if they are more than `most_work` multiply-accumulates or bytes.
bool octet_draw_values(const octet_kind *, uint64_t (*next)(void *context, uint64_t bound), void *context,
                       double most_work, int64_t *values);
// The same from a seed, drawn until one fits.
void octet_draw_problem(const octet_kind *, uint64_t seed, double most_work, int64_t *values);

// MARK: - Problems

// A problem with its inputs; NULL if there is no memory or the values are refused.
octet_problem *octet_problem_create(const octet_kind *, const int64_t *values);
void octet_problem_destroy(octet_problem *);

// Readies a problem for an instruction set and so many threads (packs weights, provides scratch), and puts outputs into
// their first state.
void octet_problem_prepare(octet_problem *, const octet_isa *, size_t threads);
// Runs the kernel on everything, with the threads of `pool` (NULL: the caller alone).
void octet_problem_run(octet_problem *, octet_pool *pool);
// Prepares, runs the parts of the work in an order that only independent parts survive, and compares with the exact
// answer. False: `message` says what is wrong.
bool octet_problem_test(octet_problem *, const octet_isa *, char *message, size_t size);
// A digest of the outputs of the last run; −0 counts as 0, and all NaNs are one.
uint64_t octet_problem_digest(const octet_problem *);

// MARK: - Calls

// What one call of octet_conv_run takes, for one image in a single task and padding of zeros.
typedef struct {
    const octet_gemm_family *family;
    octet_conv_shape shape;
    octet_epilogue epilogue;
    const void *input, *packed;
    void *output, *scratch;
} octet_conv_call;

// Makes the call so many times from C, to tell what calling costs.
void octet_conv_call_repeat(const octet_conv_call *, size_t times);

// MARK: - Golden digests

// Problems whose digest is the same on every instruction set of every architecture.
typedef struct {
    const char *problem;
    uint64_t digest;
} octet_golden;
const octet_golden *octet_goldens(size_t *count);

#ifdef __cplusplus
}
#endif
#endif
