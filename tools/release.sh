#!/bin/sh
# Make a release: release notes from changes/, a commit, its tag, and the packages in dist/.
# Nothing is published: what to do then is printed.
#
#   tools/release.sh 1.2.0
set -eu
cd "$(dirname "$0")/.."

version=${1:-}
if ! expr "$version" : '[0-9][0-9]*\.[0-9][0-9]*\.[0-9][0-9]*$' >/dev/null; then
    echo "Give the version as three numbers: tools/release.sh 1.2.0" >&2
    exit 2
fi
if [ -n "$(git status --porcelain)" ]; then
    echo "Commit or stash what is in the working tree first." >&2
    exit 1
fi
if git rev-parse --quiet --verify "refs/tags/v$version" >/dev/null; then
    echo "There is a release $version already." >&2
    exit 1
fi
if [ -z "$(find changes -name '*.md' ! -name README.md)" ]; then
    echo "changes/ holds nothing to release." >&2
    exit 1
fi
make check

notes=$(.venv/bin/towncrier build --draft --version "$version")
.venv/bin/towncrier build --yes --version "$version"
git commit --quiet --all --message "Release $version"
git tag --annotate "v$version" --cleanup=verbatim --message "$notes"

uv=$(command -v uv || echo .uv/bin/uv)
rm -rf dist
"$uv" build --quiet --all-packages --out-dir dist
echo "Release $version is in dist/. Publish it with:"
echo "    git push --follow-tags && uv publish"
