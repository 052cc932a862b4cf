# Sourced by quickstart, test and test-arm64: what building needs, on a Debian-like machine or any other.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# Building uses OpenBLAS; the package itself builds without (leave the trait out).
swift_options=(-c release --traits OpenBLAS)

# The system packages that building needs, as far as they are missing.
install_missing_packages() { install_packages libopenblas-dev liblapacke-dev zlib1g-dev; }

# install_packages PACKAGE…: those that are missing, if this machine has apt-get.
install_packages() {
  local missing=()
  if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
    local package
    for package in "$@"; do
      dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
  fi
  if [[ ${#missing[@]} -eq 0 ]]; then return; fi
  echo "Installing ${missing[*]} …"
  local become=()
  if [[ $(id -u) -ne 0 ]]; then become=(sudo); fi
  # A list of packages that is there may be too old to install from: refresh it only then.
  DEBIAN_FRONTEND=noninteractive "${become[@]}" apt-get install -y -qq "${missing[@]}" >/dev/null 2>&1 ||
    { "${become[@]}" apt-get update -qq &&
      DEBIAN_FRONTEND=noninteractive "${become[@]}" apt-get install -y -qq "${missing[@]}" >/dev/null; } ||
    { echo "Could not install ${missing[*]}; install them by hand and run this again." >&2; exit 1; }
}

# A Swift that is new enough, or one line that says what to do.
require_swift() {
  local version=""
  if command -v swift >/dev/null; then
    version=$(swift --version 2>/dev/null | sed -nE 's/.*Swift version ([0-9]+\.[0-9]+).*/\1/p' | head -1)
  fi
  if [[ -z $version || $(printf '%s\n' 6.2 "$version" | sort -V | head -1) != 6.2 ]]; then
    echo "Octet needs Swift 6.2 or newer (found: ${version:-none}); install it from https://www.swift.org/install" >&2
    exit 1
  fi
}
