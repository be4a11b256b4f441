#!/bin/sh
# Install the Debian packages that the named parts need, where that is possible: as root, with apt.
#
#   tools/system_packages.sh tests    Blender and FFmpeg, so that real jobs are tested, the sandbox, and PostgreSQL
#   tools/system_packages.sh bpy      the libraries that Blender from PyPI loads
set -eu

has_postgres() { command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }

case $1 in
    tests)
        packages="blender bubblewrap ffmpeg postgresql"
        present() { command -v blender >/dev/null && command -v bwrap >/dev/null &&
            command -v ffprobe >/dev/null && has_postgres; }
        ;;
    bpy)
        packages="libx11-6 libxrender1 libxfixes3 libxi6 libxkbcommon0 libsm6 libice6 libgl1"
        present() { ldconfig -p | grep -q libxkbcommon.so.0 && ldconfig -p | grep -q libGL.so.1 &&
            ldconfig -p | grep -q libXi.so.6 && ldconfig -p | grep -q libSM.so.6; }
        ;;
    *) echo "unknown part: $1" >&2; exit 2 ;;
esac

# Tests start a server of their own. Debian's package would make a database and start it at once.
no_cluster() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-common >/dev/null
    settings=/etc/postgresql-common/createcluster.conf
    grep -q '^ *create_main_cluster' $settings || echo "create_main_cluster = false" >>$settings
}

if present; then
    exit 0
elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing $packages ..."
    apt-get update -qq
    case $packages in
        *postgresql*) has_postgres || no_cluster ;;
    esac
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
else
    echo "Not root, or no apt: please install $packages yourself."
fi
