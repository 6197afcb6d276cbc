#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Installs the Debian packages that are missing for the words given: build,
# demo, check, bench, lint, deb, package. As another user than root, prints the one command to run.
set -eu

build="gcc make pkg-config libjansson-dev libmd-dev libmnl-dev libnftnl-dev"
demo="iproute2 nftables conntrack python3"
check="libcmocka-dev iptables iputils-ping libcap2-bin util-linux systemd strace valgrind mandoc
	python3-pytest python3-pytest-xdist python3-jsonschema python3-yaml
	facter hiera ruby ruby-augeas ruby-concurrent ruby-deep-merge ruby-semantic-puppet
	ruby-shadow ruby-sorted-set bash-completion zsh ansible-core"
bench="iptables jq procps strace"
lint="clang-format clang-tidy cppcheck
	ansible-core git pylint python3-pycodestyle python3-venv python3-voluptuous yamllint"
deb="build-essential debhelper"
package="lintian mmdebstrap ansible-core python3-apt"

wanted=""
for word in "$@"; do
	case $word in
	build) wanted="$wanted $build" ;;
	demo) wanted="$wanted $demo" ;;
	check) wanted="$wanted $check" ;;
	bench) wanted="$wanted $bench" ;;
	lint) wanted="$wanted $lint" ;;
	deb) wanted="$wanted $deb" ;;
	package) wanted="$wanted $package" ;;
	*) echo "$0: $word: one of build, demo, check, bench, lint, deb, package" >&2; exit 64 ;;
	esac
done

missing=""
for package in $wanted; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "Packages are missing. As root, run:" >&2
	echo "    apt-get install --no-install-recommends$missing" >&2
	exit 1
fi
echo "Installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends $missing >/dev/null
