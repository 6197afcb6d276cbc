#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What detour does, shown on a router that exists only while you watch: four
# network namespaces, client, router, server and gateway, joined by cables.
# Nothing of this machine's own network or files is touched: the namespaces,
# /etc, /run and /var/lib that you see here are private to this script, and
# gone when it ends, however it ends.
#
# Every claim is checked: the script fails when something else happens than it says.

set -euo pipefail
cd "$(dirname "$0")/.."

export DETOUR=${DETOUR:-$PWD/build/detour}
if [ -z "${LAB-}" ]; then
	[ -x "$DETOUR" ] || { echo "$DETOUR is not there: run make first" >&2; exit 1; }
	exec /usr/bin/python3 tests/lab/lab.py run bash tests/demo.sh
fi

if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m' color=always
else
	bold='' dim='' plain='' color=never
fi

say() {
	printf '\n%s# %s%s\n' "$bold" "$1" "$plain"
	shift
	for line; do printf '%s# %s%s\n' "$dim" "$line" "$plain"; done
}

prompt() {
	printf '%s%s$%s %s\n' "$bold" "$1" "$plain" "$2"
}

router() {
	prompt router "$*"
	ip netns exec "$LAB-router" "$@"
}

# Its exit code is in $code.
detour() {
	prompt router "detour $*"
	code=0
	ip netns exec "$LAB-router" "$DETOUR" --color "$color" "$@" || code=$?
}

ask() {
	prompt client "connect to $1 port $2"
	answer=$(ip netns exec "$LAB-client" /usr/bin/python3 tests/lab/lab.py ask "$1" "$2") || true
	printf '%s\n' "$answer"
}

fail() {
	printf '\n%sdemo: %s%s\n' "$bold" "$1" "$plain" >&2
	exit 1
}

expect_exit() {
	[ "$code" = "$1" ] || fail "expected exit code $1, got $code"
	printf '%s(exit code %s)%s\n' "$dim" "$code" "$plain"
}

# expect ADDRESS PORT WHO: connects, and insists on who answered ("nobody" too).
expect() {
	ask "$1" "$2"
	case "$3:$answer" in
	nobody:'nobody answered: '*) ;;
	*:"answered by: $3") ;;
	*) fail "expected $3" ;;
	esac
}

cat <<'PICTURE'

                  eth0 +--------+ eth1
    client ------------| router |------------ server
    10.0.0.2           +--------+             10.1.0.5
    2001:db8::2            | eth2             2001:db8:1::5
                           |
                        gateway  the box that inspects and records RDP sessions
                        10.2.0.10, 2001:db8:2::10
PICTURE

say "A router with strict reverse-path filtering. RDP goes straight to the server."
expect 10.1.0.5 3389 server
expect 2001:db8:1::5 3389 server

say "What should be, as one document:"
mkdir -p /etc/detour
cat >/etc/detour/detour.json <<'DOCUMENT'
{
  "version": 1,
  "gateways": [
    {
      "name": "scb",
      "interface": "eth2",
      "addresses": ["10.2.0.10", "2001:db8:2::10"],
      "mark": "0x10/0xf0",
      "table": 103,
      "priority": 100,
      "on_loss": "block"
    }
  ],
  "redirects": [
    {
      "name": "rdp",
      "description": "CHG0012345",
      "gateway": "scb",
      "clients": { "interfaces": ["eth0"], "except": ["10.0.0.99"] },
      "servers": { "networks": ["10.1.0.0/24", "2001:db8:1::/64"] },
      "services": ["3389/tcp"]
    }
  ]
}
DOCUMENT
router cat /etc/detour/detour.json

say "Is it a good document? This asks neither the kernel nor for privileges."
detour validate
expect_exit 0

say "What would it mean here, and what would be done? Exit code 2: there is something to do."
detour plan
expect_exit 2

say "Do it."
detour apply --quiet
expect_exit 0

say "RDP now goes through the gateway, in both families. Everything else is as it was."
expect 10.1.0.5 3389 gateway
expect 2001:db8:1::5 3389 gateway
expect 10.1.0.5 22 server

say "Doing it again does nothing."
detour apply
expect_exit 0

say "The gateway's link flaps." \
	"The kernel drops the route and does not bring it back. Done by hand, sessions would now" \
	"reach the server unaudited. Here nobody answers, and everything else works."
router ip link set eth2 down
expect 10.1.0.5 3389 nobody
expect 2001:db8:1::5 3389 nobody
router ip link set eth2 up
router ip -6 address replace 2001:db8:2::1/64 dev eth2 nodad
expect 10.1.0.5 3389 nobody
expect 10.1.0.5 22 server

say "Drift: what a monitor sees."
detour drift
expect_exit 2

say "Repair is the same verb as before, and does only what is needed."
detour apply
expect_exit 0
expect 10.1.0.5 3389 gateway
expect 2001:db8:1::5 3389 gateway

say "Somebody flushes the policy rules. Still nothing reaches the server unaudited."
router ip rule flush
router ip rule add priority 32766 lookup main
expect 10.1.0.5 3389 nobody
detour drift
expect_exit 2
detour apply --quiet
expect_exit 0
expect 10.1.0.5 3389 gateway

say "Take all of it back: the router is as it was, rp_filter included."
detour destroy
expect_exit 0
expect 10.1.0.5 3389 server
expect 2001:db8:1::5 3389 server
router cat /proc/sys/net/ipv4/conf/eth2/rp_filter
[ "$(ip netns exec "$LAB-router" cat /proc/sys/net/ipv4/conf/eth2/rp_filter)" = 0 ] ||
	fail "rp_filter is not as it was"

say "That was all of it. The lab is removed now."
