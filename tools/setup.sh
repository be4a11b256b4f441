#!/bin/sh
# Make .venv from the lock file, through uv. Needs Python 3.11 or newer; nothing else.
#
#   tools/setup.sh           what running Envoy needs
#   tools/setup.sh dev       and what the checks and tests need
#   tools/setup.sh bpy       and Blender from PyPI
set -eu
cd "$(dirname "$0")/.."

python=
for candidate in python3.11 python3.12 python3.13 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        # Not the name on PATH, which may be a shim: uv compares it with what .venv was made from.
        python=$("$candidate" -c 'import sys; print(sys.executable)')
        break
    fi
done
if [ -z "$python" ]; then
    echo "Python 3.11 or newer is needed and was not found on PATH." >&2
    exit 1
fi

uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    uv=$PWD/.uv/bin/uv
    if [ ! -x "$uv" ]; then
        echo "Installing uv into .uv/ ..."
        if ! "$python" -m venv .uv 2>/dev/null; then
            # Debian keeps venv in a package of its own.
            rm -rf .uv
            if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
                apt-get update -qq
                DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
                "$python" -m venv .uv
            else
                echo "Python's venv is missing: install python3-venv, or uv itself." >&2
                exit 1
            fi
        fi
        .uv/bin/pip install --quiet --disable-pip-version-check uv
    fi
fi

case ${1:-} in
    dev) options= ;;
    bpy) options="--no-dev --extra bpy" ;;
    *) options=--no-dev ;;
esac
# Inexact: `make demo` after `make test` takes nothing away.
# Compiled: what opens scenes and images may write no cache, and would compile all it imports for
# each of them.
# shellcheck disable=SC2086
"$uv" sync --quiet --frozen --inexact --compile-bytecode --python "$python" $options
exec .venv/bin/python -m compileall -q packages/*/src
