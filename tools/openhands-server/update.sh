#!/bin/sh
# Makes requirements.txt and build-constraints.txt anew from version.txt: pins that still fit stay as they are.
# ./update.sh            after version.txt or overrides.txt was edited
# ./update.sh --upgrade  also takes the newest versions of everything else
set -eu
cd "$(dirname "$0")"
uv=${OPENSYMPHONY_UV:-uv}
version=$(cat version.txt)

compile() { # name, further options; requirements on standard input
  "$uv" pip compile --quiet --universal --python-version 3.12 --no-python-downloads --generate-hashes --no-annotate --no-header \
    --no-emit-index-url --no-emit-find-links --output-file "$@" - >/dev/null
}

trap 'rm -f requirements.new build-constraints.new' EXIT
cp requirements.txt requirements.new
printf '%s\n' "openhands-agent-server==$version" "openhands-sdk==$version" "openhands-tools==$version" |
  compile requirements.new --overrides overrides.txt "$@"
# uv keeps what the override leaves out, under a marker that is never true: those entries, hashes included, go.
awk '/^[A-Za-z0-9]/ { never = /sys_platform == .never./; if (never && / or /) { print "update: not only never: " $0 > "/dev/stderr"; exit 1 } } !never' \
  requirements.new >requirements.txt

# One package comes as source only; what builds it is pinned by hash too.
cp build-constraints.txt build-constraints.new
echo setuptools | compile build-constraints.new "$@"
cp build-constraints.new build-constraints.txt
grep -c '==' requirements.txt | sed 's/$/ packages pinned/' >&2
