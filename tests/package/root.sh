#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# root.sh DIRECTORY PACKAGE.deb: puts the essential packages of this Debian there, and those that the
# package depends on, unless they are there. It takes the archives that apt is set up for.
set -eu

depends=$(dpkg-deb -f "$2" Depends | sed 's/([^)]*)//g; s/ //g')
[ "$(cat "$1.depends" 2>/dev/null || true)" != "$depends" ] || exit 0

rm -rf "$1" "$1.depends"
mkdir -p "$(dirname "$1")"
. /etc/os-release
find /etc/apt -name '*.list' -o -name '*.sources' |
	xargs mmdebstrap --quiet --variant=essential --include="$depends" "$VERSION_CODENAME" "$1"
echo "$depends" >"$1.depends"
