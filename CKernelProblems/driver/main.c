// Runs the table of kernels without Swift: on other architectures, in emulators, under sanitizers.
//
//     driver [--isa NAME] [--kind NAME] [--quick [COUNT]]       the grid, or COUNT random
//                                                               problems of each kind; and the golden digests
//     driver [--isa NAME] --problem TEXT                        one problem
//     driver --list                                             kinds and their parameters
//     driver --list-isas                                        instruction sets of this architecture
//     driver [--kind NAME] --make-goldens                       writes golden digests, from the scalar kernels
//
// The last line says `N passed, N failed`.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../include/octet_problems.h"

enum {
    most_failures = 20,
    quick_problems = 12,  // of each kind, on each instruction set
    golden_problems = 12,
};
static const double quick_work = 20000, golden_work = 200000;

static size_t passed, failed;
static char at[octet_most_text + 64];

static void crashed(int number) {
    (void)number;
    static const char text[] = "crashed at ", end[] = "\n0 passed, 1 failed\n";
    ssize_t written = write(STDOUT_FILENO, text, sizeof text - 1);
    written += write(STDOUT_FILENO, at, strlen(at));
    written += write(STDOUT_FILENO, end, sizeof end - 1);
    _exit(written < 0 ? 2 : 1);
}

static void report(const octet_isa *isa, const char *problem, const char *message) {
    failed++;
    if (failed <= most_failures) printf("%s: %s: %s\n", isa->name, problem, message);
}

// Every chosen instruction set that this CPU has.
typedef struct {
    const octet_isa *isas[16];
    size_t count;
} choice;

static void test(const octet_kind *kind, const int64_t *values, const choice *chosen) {
    char text[octet_most_text], message[256] = "";
    octet_format_problem(kind, values, text, sizeof text);
    octet_problem *problem = octet_problem_create(kind, values);
    for (size_t i = 0; i < chosen->count; i++) {
        const octet_isa *isa = chosen->isas[i];
        snprintf(at, sizeof at, "%s: %s", isa->name, text);
        if (!problem) {
            report(isa, text, "could not be made");
        } else if (octet_problem_test(problem, isa, message, sizeof message)) {
            passed++;
        } else {
            report(isa, text, message);
        }
    }
    octet_problem_destroy(problem);
}

static double test_grid(const octet_kind *kind, const choice *chosen) {
    double outputs = 0;
    int64_t values[octet_most_parameters];
    for (size_t i = 0; i < octet_grid_count(kind); i++) {
        if (!octet_grid_values(kind, i, values)) continue;
        test(kind, values, chosen);
        outputs += kind->work(kind, values).outputs;
    }
    return outputs;
}

static double test_some(const octet_kind *kind, uint64_t count, const choice *chosen) {
    double outputs = 0;
    int64_t values[octet_most_parameters];
    for (uint64_t seed = 0; seed < count; seed++) {
        octet_draw_problem(kind, seed, quick_work, values);
        test(kind, values, chosen);
        outputs += kind->work(kind, values).outputs;
    }
    return outputs;
}

static void test_goldens(const char *only, const choice *chosen) {
    size_t count;
    const octet_golden *goldens = octet_goldens(&count);
    int64_t values[octet_most_parameters];
    char message[octet_most_text];
    for (size_t i = 0; i < count; i++) {
        const octet_kind *kind = octet_parse_problem(goldens[i].problem, NULL, values, message, sizeof message);
        if (kind && only && strcmp(kind->name, only) != 0) continue;
        octet_problem *problem = kind ? octet_problem_create(kind, values) : NULL;
        for (size_t j = 0; j < chosen->count; j++) {
            const octet_isa *isa = chosen->isas[j];
            snprintf(at, sizeof at, "%s: %s", isa->name, goldens[i].problem);
            if (!problem) {
                report(isa, goldens[i].problem, kind ? "could not be made" : message);
                continue;
            }
            octet_problem_prepare(problem, isa, 1);
            octet_problem_run(problem, NULL);
            const uint64_t digest = octet_problem_digest(problem);
            snprintf(message, sizeof message, "digest 0x%016llx instead of 0x%016llx", (unsigned long long)digest,
                     (unsigned long long)goldens[i].digest);
            if (digest == goldens[i].digest) {
                passed++;
            } else {
                report(isa, goldens[i].problem, message);
            }
        }
        octet_problem_destroy(problem);
    }
}

static void make_goldens(const char *only) {
    size_t kinds;
    const octet_kind *const *all = octet_kinds(&kinds);
    int64_t values[octet_most_parameters];
    char text[octet_most_text];
    printf("// clang-format off\n");
    for (size_t i = 0; i < kinds; i++) {
        if (!all[i]->exact || (only && strcmp(only, all[i]->name) != 0)) continue;
        for (uint64_t seed = 0; seed < golden_problems; seed++) {
            octet_draw_problem(all[i], 1000 + seed, golden_work, values);
            octet_problem *problem = octet_problem_create(all[i], values);
            octet_problem_prepare(problem, octet_isa_named("scalar"), 1);
            octet_problem_run(problem, NULL);
            octet_format_problem(all[i], values, text, sizeof text);
            printf("{\"%s\", 0x%016llx},\n", text, (unsigned long long)octet_problem_digest(problem));
            octet_problem_destroy(problem);
        }
    }
}

static void list(void) {
    size_t kinds;
    const octet_kind *const *all = octet_kinds(&kinds);
    for (size_t i = 0; i < kinds; i++) {
        printf("%s, %zu problems in the grid\n", all[i]->name, octet_grid_count(all[i]));
        for (size_t j = 0; j < all[i]->parameter_count; j++) {
            const octet_parameter *p = &all[i]->parameters[j];
            if (p->choices) {
                printf("    %s:", p->name);
                for (int64_t v = p->low; v <= p->high; v++) printf(" %s", p->choices[v - p->low]);
                printf("\n");
            } else {
                printf("    %s: %lld ... %lld, usually %lld\n", p->name, (long long)p->low, (long long)p->high,
                       (long long)p->usual);
            }
        }
    }
}

static void list_isas(void) {
    size_t count;
    const octet_isa *const *all = octet_isa_all(&count);
    for (size_t i = 0; i < count; i++) printf("%s\n", all[i]->name);
}

int main(int count, char **arguments) {
    const char *only = NULL, *one_isa = NULL, *problem = NULL;
    bool goldens = false;
    uint64_t quick = 0;
    for (int i = 1; i < count; i++) {
        const char *argument = arguments[i], *value = i + 1 < count ? arguments[i + 1] : NULL;
        if (strcmp(argument, "--quick") == 0) {
            quick = value && *value >= '0' && *value <= '9' ? strtoull(arguments[++i], NULL, 10) : quick_problems;
        } else if (strcmp(argument, "--list") == 0) {
            list();
            return 0;
        } else if (strcmp(argument, "--list-isas") == 0) {
            list_isas();
            return 0;
        } else if (strcmp(argument, "--make-goldens") == 0) {
            goldens = true;
        } else if (value && strcmp(argument, "--isa") == 0) {
            one_isa = arguments[++i];
        } else if (value && strcmp(argument, "--kind") == 0) {
            only = arguments[++i];
        } else if (value && strcmp(argument, "--problem") == 0) {
            problem = arguments[++i];
        } else {
            fprintf(stderr, "%s: what the first lines of CKernelProblems/driver/main.c say, not %s\n", arguments[0],
                    argument);
            return 2;
        }
    }
    if (goldens) {
        make_goldens(only);
        return 0;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGSEGV, crashed);
    signal(SIGBUS, crashed);
    signal(SIGILL, crashed);

    size_t all_count;
    const octet_isa *const *all = octet_isa_all(&all_count);
    choice chosen = {.count = 0};
    printf("best here: %s; testing", octet_isa_best()->name);
    for (size_t i = 0; i < all_count; i++) {
        if (!all[i]->supported() || (one_isa && strcmp(all[i]->name, one_isa) != 0)) continue;
        printf(" %s", all[i]->name);
        chosen.isas[chosen.count++] = all[i];
    }
    printf("\n");
    if (chosen.count == 0) {
        printf("this CPU has no %s\n0 passed, 1 failed\n", one_isa);
        return 1;
    }

    int64_t values[octet_most_parameters];
    char message[octet_most_text];
    if (problem) {
        const octet_kind *kind = octet_parse_problem(problem, NULL, values, message, sizeof message);
        if (!kind || kind->refusal(kind, values)) {
            printf("%s\n", kind ? kind->refusal(kind, values) : message);
            return 2;
        }
        test(kind, values, &chosen);
    } else {
        size_t kinds;
        const octet_kind *const *kind = octet_kinds(&kinds);
        for (size_t i = 0; i < kinds; i++) {
            if (only && strcmp(only, kind[i]->name) != 0) continue;
            const size_t before = passed;
            const double outputs = quick ? test_some(kind[i], quick, &chosen) : test_grid(kind[i], &chosen);
            printf("%-18s %6zu passed, %.0f outputs each\n", kind[i]->name, passed - before, outputs);
        }
        const size_t before = passed;
        test_goldens(only, &chosen);
        printf("%-18s %6zu passed\n", "golden digests", passed - before);
    }
    if (failed > most_failures) printf("%zu more failures\n", failed - most_failures);
    printf("%zu passed, %zu failed\n", passed, failed);
    return failed ? 1 : 0;
}
