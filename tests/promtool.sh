#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# promtool.sh DIRECTORY: puts promtool there, unless it is installed. Debian's package would start
# a server as well, so only this one program is taken out of it.
set -eu

command -v promtool >/dev/null || [ -x "$1/promtool" ] && exit 0
mkdir -p "$1"
cd "$1"
apt-get -o APT::Sandbox::User=root download -qq prometheus
dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x --strip-components=3 ./usr/bin/promtool
rm prometheus_*.deb
