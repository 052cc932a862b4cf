# Sourced by lint and format: clang-format in a pinned version, which the Swift toolchain does not have.

clang_format_version=23.1.5

# Sets `clang_format`; $CLANG_FORMAT if that is given, otherwise from a virtual environment in .build.
choose_clang_format() {
  if [[ -n ${CLANG_FORMAT:-} ]]; then
    clang_format=$CLANG_FORMAT
    return
  fi
  local folder=.build/tools
  clang_format=$folder/bin/clang-format
  if [[ ! -x $clang_format ]] || [[ $("$clang_format" --version) != *" $clang_format_version"* ]]; then
    python3 -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "clang-format==$clang_format_version"
  fi
}

c_files() { git ls-files 'CKernels/*' 'CKernelProblems/*' 'CThreadPool/*' 'CZlib/*' 'Benchmarks/*' 'scripts/*' | grep -E '\.(c|cpp|h|inc)$'; }
swift_files() { git ls-files '*.swift'; }
