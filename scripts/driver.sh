# Sourced by the scripts that test the kernels without Swift: on emulated CPUs, on other architectures, with a fuzzer.

# build_driver PROGRAM MAIN COMPILER FLAG…: the kernels, the table of problems and CKernelProblems/driver/MAIN.c, with
# flags that compile and link. Several files at a time.
build_driver() {
  local program=$1 main=$2 compiler=$3 objects=$1.objects
  shift 3
  rm -rf "$objects"
  mkdir -p "$objects"
  # (Some flags are for linking alone.)
  local flags=("$@" -Wno-unused-command-line-argument)
  local compile=("$compiler" -g -O2 -std=c11 -Wall -Wextra -Werror -ffp-contract=off -ICKernels/include
    -ICThreadPool/include "${flags[@]}")
  printf '%s\n' CKernels/*.c CKernels/isa/*.c CThreadPool/*.c CKernelProblems/*.c CKernelProblems/kinds/*.c \
    "CKernelProblems/driver/$main.c" |
    objects=$objects xargs -P "$(getconf _NPROCESSORS_ONLN)" -I SOURCE bash -c \
      'source=$1; shift; exec "$@" -c "$source" -o "$objects/${source//\//_}.o"' compile SOURCE "${compile[@]}"
  "$compiler" "${flags[@]}" "$objects"/*.o -lm -lpthread -o "$program"
}
