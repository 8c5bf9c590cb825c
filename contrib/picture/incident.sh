#!/bin/sh
# Makes docs/top.svg and docs/incident.jsonl from a real run: two sites, a conflict, a peer that goes away and comes
# back, and the dashboard of the first site in a terminal of 120 columns. Needs tmux and python3.
# Usage: contrib/picture/incident.sh PATH/TO/cfs-repl
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
program=$(realpath "${1:-$here/target/release/cfs-repl}")
lab=$(mktemp -d)
session="picture-$$"
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
ask() { "$program" "$@" --config "$lab/fra-1/config.toml"; }
a= b=
trap 'kill $a $b 2>/dev/null || :; tmux -L "$session" kill-server 2>/dev/null || :; wait; rm -rf "$lab"' EXIT

start() {
    "$program" run --config "$lab/$1/config.toml" >>"$lab/$1/log" 2>&1 &
}
until_shown() {
    for _ in $(seq 1 300); do
        if tmux -L "$session" capture-pane -p | grep -q "$1"; then return; fi
        sleep 0.2
    done
    echo "the dashboard never showed $1" >&2
    tmux -L "$session" capture-pane -p >&2
    exit 1
}

mkdir -p "$lab/fra-1/media" "$lab/iad-2/media"
for n in $(seq 1 60); do echo "line $n" >"$lab/fra-1/media/clip-$n.txt"; done
echo "budget" >"$lab/fra-1/media/plan.txt"
cd "$lab/fra-1"
"$program" init --new-authority --name fra-1 --cluster prod --root media --state state --config config.toml \
    --listen "127.0.0.1:$(port)" 2>/dev/null
start fra-1
a=$!
until ask status >/dev/null 2>&1; do sleep 0.1; done
token=$(ask peer invite --name iad-2 2>/dev/null)
cd "$lab/iad-2"
"$program" join "$token" --root media --state state --config config.toml --listen "127.0.0.1:$(port)" 2>/dev/null
start iad-2
b=$!
ask wait --for synced --timeout 60s

rm -f "$here/docs/incident.jsonl"
tmux -L "$session" -f /dev/null new-session -d -x 120 -y 36 \
    "TERM=tmux-256color $program top --config $lab/fra-1/config.toml --record $here/docs/incident.jsonl"
until_shown "IDLE"
ask sites pause iad-2 --note "two versions of a plan"
until_shown "PAUSED"
printf 'budget\nfrom fra-1\n' >"$lab/fra-1/media/plan.txt"
printf 'budget\nfrom iad-2\n' >"$lab/iad-2/media/plan.txt"
sleep 3
ask sites resume iad-2
until_shown "conflict.lossy"
ask wait --for synced --timeout 60s
tmux -L "$session" send-keys 4
until_shown "WINNER"
tmux -L "$session" send-keys d
until_shown "from iad-2"
tmux -L "$session" send-keys 1
kill -9 $b
wait $b || :
for n in $(seq 1 400); do echo "late $n" >"$lab/fra-1/media/late-$n.txt"; done
until_shown "BACKOFF"
# What is asked for only while it is looked at is in the record, too: the journal with its end, and what waits.
tmux -L "$session" send-keys 6
until_shown "late-"
sleep 3
tmux -L "$session" send-keys 1
sleep 20
tmux -L "$session" capture-pane -e -p | python3 "$here/contrib/picture/svg.py" >"$here/docs/top.svg"
start iad-2
b=$!
until_shown "IDLE"
ask wait --for synced --timeout 60s
id=$(ask conflicts list --unacked -o name | head -1)
ask conflicts ack "$id" --note "the plan of fra-1 was meant"
sleep 3
tmux -L "$session" send-keys q
sleep 1
wc -c "$here/docs/incident.jsonl" "$here/docs/top.svg"
