#!/bin/sh
# Starts the pinned agent-server by hand, on loopback only: run-local.sh [PORT]      (default 8000)
# Uses the installation it stands in, else the one in $OPENSYMPHONY_TOOL_DIR, else ~/.opensymphony/openhands-server.
# SESSION_API_KEY is the key clients send as X-Session-API-Key; without it one is made and printed to standard error.
set -eu
fail() { echo "run-local.sh: $1" >&2; exit "$2"; }

port=${1:-8000}
case $port in '' | *[!0-9]* | ??????*) fail "not a port: $port (usage: run-local.sh [PORT])" 2 ;; esac
{ [ "$port" -ge 1 ] && [ "$port" -le 65535 ]; } || fail "not a port: $port (1 to 65535)" 2

tool_dir=$(cd "$(dirname "$0")" && pwd -P)
[ -e "$tool_dir/current" ] || tool_dir=${OPENSYMPHONY_TOOL_DIR:-$HOME/.opensymphony/openhands-server}
[ -x "$tool_dir/current/bin/python" ] ||
  fail "no agent-server in $tool_dir: run 'opensymphony install openhands' (with --tool-dir DIR for another place)" 1
environment=$(cd "$tool_dir/current" && pwd -P) # `current` may point elsewhere while we run
python=$environment/bin/python

umask 077
data=$tool_dir/run-local
mkdir -p "$data/conversations" "$data/bash" "$data/openhands" "$data/home" "$data/tmux"
secret() { "$python" -c 'import secrets; print(secrets.token_urlsafe(32))'; }
# Stable, or conversations stored before a restart lose their model key.
[ -s "$data/secret-key" ] || { secret >"$data/secret-key.new" && mv "$data/secret-key.new" "$data/secret-key"; }
key=${SESSION_API_KEY:-}
[ -n "$key" ] || { key=$(secret); echo "run-local.sh: session key (X-Session-API-Key): $key" >&2; }
tmux=$data/tmux
[ ${#tmux} -le 70 ] || tmux=$(mktemp -d) # a socket's path may have 108 characters

echo "run-local.sh: agent-server $(cat "$tool_dir/version.txt" 2>/dev/null || true) on http://127.0.0.1:$port, data in $data" >&2
cd "$data"
# Only this environment: the server and its agents get no credential of ours.
exec env -i PATH="$environment/bin:$PATH" LANG="${LANG:-C.UTF-8}" TERM="${TERM:-dumb}" TMPDIR="${TMPDIR:-/tmp}" HOME="$data/home" \
  OH_SECRET_KEY="$(cat "$data/secret-key")" OH_SESSION_API_KEYS_0="$key" \
  OH_CONVERSATIONS_PATH="$data/conversations" OH_BASH_EVENTS_DIR="$data/bash" OH_PERSISTENCE_DIR="$data/openhands" \
  OH_LEASE_TTL_SECONDS=0 OH_MAX_CONCURRENT_RUNS=50 OH_ENABLE_VSCODE=0 OH_PRELOAD_TOOLS=0 TMUX_TMPDIR="$tmux" TZ=UTC \
  PYTHON_CPU_COUNT=64 PYTHONUNBUFFERED=1 LOG_JSON=true OPENHANDS_SUPPRESS_BANNER=1 LITELLM_LOCAL_MODEL_COST_MAP=True \
  DO_NOT_TRACK=1 ANONYMIZED_TELEMETRY=false \
  "$python" -m openhands.agent_server --host 127.0.0.1 --port "$port"
