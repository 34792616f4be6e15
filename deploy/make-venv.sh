#!/bin/sh
# Make the virtual environment named by $1: find a suitable Python, install the pinned packages, then this checkout.
#   PYTHON       interpreter to use instead of looking for one
#   MAY_INSTALL  1: as root on Debian, install a missing ensurepip. Otherwise only say which package is missing
set -eu

venv=$1
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

find_python() { # $1: modules it must have
  for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    if "$candidate" -c "import sys$1; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then
      echo "$candidate"
      return 0
    fi
  done
  return 1
}

# On Debian ensurepip is not part of Python itself. Each version of Python has a package for it.
venv_package() { # $1: interpreter
  print_version='import sys; print("%d.%d" % sys.version_info[:2])'
  version=$("$1" -c "$print_version")
  default=$(/usr/bin/python3 -c "$print_version" 2>/dev/null || true)
  if [ "$version" = "$default" ]; then echo python3-venv; else echo "python$version-venv"; fi
}

if ! python=$(find_python ", ensurepip, venv"); then
  if ! python=$(find_python ""); then
    found=$("${PYTHON:-python3}" --version 2>/dev/null || true)
    echo "Vestibule needs Python 3.11 or newer; ${PYTHON:-python3} here is ${found:-missing}." >&2
    echo "Install a newer one, or name it: make PYTHON=/path/to/python3.12 venv" >&2
    exit 1
  fi
  package=$(venv_package "$python")
  if [ "${MAY_INSTALL:-}" = 1 ] && [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null; then
    echo "$package is missing: installing it with apt-get"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends "$package" >/dev/null
  else
    echo "$python cannot make virtual environments: the package $package is missing. Install it with" >&2
    echo "    sudo apt-get update && sudo apt-get install -y $package" >&2
    exit 1
  fi
fi

# If an environment is not complete, or its Python is gone, make a new one.
if ! "$venv/bin/python" -c "import sys, pip; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then
  echo "Creating $venv with $("$python" --version)"
  "$python" -m venv --clear "$venv"
fi
# Print one line for each package that pip comes to, and all of its warnings and errors.
show_progress() { # $1: how many packages there are
  awk -v total="$1" '
    /^ *(Collecting|Requirement already satisfied:) / {
      sub(/^ *(Collecting|Requirement already satisfied:) /, ""); sub(/[\[ =<>!~;@(].*/, "")
      if (!($0 in seen)) { seen[$0] = 1; printf "  %d of %d  %s\n", ++count, total, $0; fflush() }
      next
    }
    /^Installing collected/ { print "  unpacking them"; fflush(); next }
    /ERROR|WARNING/ { print; fflush() }
  '
}

echo "Installing the packages pinned in deploy/constraints.txt: about a minute, more on a slow connection"
failed=$(mktemp)
{ "$venv/bin/python" -m pip install --progress-bar off --require-hashes -r deploy/constraints.txt 2>&1 || echo "$?" >"$failed"; } |
  show_progress "$(grep -c '^[A-Za-z0-9].*==' deploy/constraints.txt)"
if [ -s "$failed" ]; then
  code=$(cat "$failed"); rm -f "$failed"
  exit "$code"
fi
rm -f "$failed"
"$venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation -e .
