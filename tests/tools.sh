#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# tools.sh DIRECTORY: puts promtool and puppet there, unless they are installed. Debian's packages
# would start services as well, so only these programs are taken out of them.
set -eu

mkdir -p "$1"
cd "$1"

is_missing() {
	! command -v "$1" >/dev/null && [ ! -x "$1" ]
}

download() {
	apt-get -o APT::Sandbox::User=root download -qq "$1"
}

if is_missing promtool; then
	download prometheus
	dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x --strip-components=3 ./usr/bin/promtool
	rm prometheus_*.deb
fi
if is_missing puppet; then
	download puppet-agent
	dpkg-deb --extract puppet-agent_*.deb puppet.d
	rm puppet-agent_*.deb
	printf '#!/bin/sh\nexec ruby -I "%s/usr/lib/ruby/vendor_ruby" "%s/usr/bin/puppet" "$@"\n' \
		"$PWD/puppet.d" "$PWD/puppet.d" >puppet
	chmod +x puppet
fi
