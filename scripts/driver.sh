# Sourced by the scripts that test the kernels without Swift: on emulated CPUs, on other architectures, with a fuzzer.

# build_driver PROGRAM MAIN COMPILER FLAG…: the kernels, the table of problems and CKernelProblems/driver/MAIN.c, with
# flags that compile and link. Several files at a time. (gcc needs -ffp-contract=off: it does not know the pragma.)
build_driver() {
  local program=$1 main=$2 compiler=$3 objects=$1.objects
  shift 3
  rm -rf "$objects"
  mkdir -p "$objects"
  # (Linking has flags that compiling does not use.)
  local compile=("$compiler" -Wno-unused-command-line-argument -g -O2 -std=c11 -Wall -Wextra -Werror -ffp-contract=off
    -ICKernels/include -ICThreadPool/include "$@")
  printf '%s\n' CKernels/*.c CKernels/isa/*.c CThreadPool/*.c CKernelProblems/*.c CKernelProblems/kinds/*.c \
    "CKernelProblems/driver/$main.c" |
    objects=$objects xargs -P "$(getconf _NPROCESSORS_ONLN)" -I SOURCE bash -c \
      'source=$1; shift; exec "$@" -c "$source" -o "$objects/${source//\//_}.o"' compile SOURCE "${compile[@]}"
  "$compiler" "$@" "$objects"/*.o -lm -lpthread -o "$program"
}
