#!/bin/sh
# ./dev check: everything that can be said about the code without running it, and an audit of both environments.
# All checks run, also after one has failed; the summary names those that did.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=

check() { # name, command
  name=$1
  shift
  printf '\n== %s\n' "$name"
  "$@" || failed="$failed $name"
}

check format ruff format --check .
check lint ruff check .
check types pyright
check imports lint-imports
check audit python tests/audit.py

[ -z "$failed" ] || { printf '\ncheck: failed:%s\n' "$failed" >&2; exit 1; }
printf '\ncheck: all passed, except what is marked "not run" above\n'
