#!/bin/sh
# ./dev test: the whole suite under coverage, fast tests first, then those that drive the real agent-server. Where CI is set,
# also the long ones among these (`-m faults`).
# ./dev test <pytest arguments>: just pytest with these.
set -eu
cd "$(dirname "$0")/.."

# Compiled once, each of the many commands that tests start takes half a second instead of five.
unset PYTHONDONTWRITEBYTECODE || true

install_server() { opensymphony install openhands >&2; }

if [ $# -gt 0 ]; then
  case " $*" in *live*) install_server || exit 1 ;; esac
  exec python -m pytest "$@"
fi

live="live and not faults"
[ -z "${CI:-}" ] || live=live
failed=0
install_server || failed=1 # the fast tests run all the same
coverage erase
# More at a time than there are cores: many wait for disks and processes. Days of the simulation say nothing new about coverage,
# which would only make them slow.
coverage run -m pytest -m "not live" -n 3 --dist worksteal --ignore tests/simulation || failed=1
python -m pytest tests/simulation -n 2 --dist load --maxschedchunk 1 || failed=1
coverage run -m pytest -m "$live" -n 4 --dist loadgroup || failed=1
coverage combine --quiet
coverage report
floor=$(cat tests/coverage_floor.txt)
coverage report --format=total --precision=1 | awk -v floor="$floor" '
  $1 < floor { print "coverage: " $1 " % is below the floor of " floor " % (tests/coverage_floor.txt)"; exit 1 }
  $1 > floor + 1 { print "coverage: " $1 " %: raise the floor of " floor " % in tests/coverage_floor.txt"; exit }
  { print "coverage: " $1 " %, floor " floor " %" }' >&2 || failed=1
exit $failed
