# Sourced by make-vectors and bench-peers: which Python runs, with which packages.

# choose_python FOLDER PACKAGE...  sets `python` to $PYTHON if that is given (nothing is installed then), otherwise to one of a
# virtual environment with exactly these packages in FOLDER, or in a temporary folder that goes when the script ends.
choose_python() {
  local folder=$1
  shift
  if [[ -n ${PYTHON:-} ]]; then
    python=$PYTHON
    return
  fi
  if [[ -z $folder ]]; then
    temporary_venv=$(mktemp -d)
    trap 'rm -rf "$temporary_venv"' EXIT
    folder=$temporary_venv
  fi
  if [[ ! -x $folder/bin/python ]]; then python3 -m venv "$folder"; fi
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
  python=$folder/bin/python
}
