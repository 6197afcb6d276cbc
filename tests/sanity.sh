#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# ansible-test sanity, all of it, for the collection. Where ansible-test would download a tool, in
# the version that it pins, it is given the one that Debian has.
set -eu
cd "$(dirname "$0")/.."

home=$PWD/build/sanity
collection=$home/ansible_collections/detour/detour
rm -rf "$home"
mkdir -p "$collection" "$home/.ansible/test/cache"
cp -r integrations/ansible/. "$collection"
git init -q "$collection" # lest it looks at what this repository ignores

# Run in each new virtual environment, to install pip. This pip installs nothing.
cat >"$home/.ansible/test/cache/get_pip_21_3_1.py" <<'END'
import pathlib
import sysconfig

site = pathlib.Path(sysconfig.get_path("purelib"))
(site / "debian.pth").write_text("/usr/lib/python3/dist-packages\n")
(site / "pip").mkdir()
(site / "pip" / "__init__.py").touch()
(site / "pip" / "__main__.py").touch()
END

cd "$collection"
export HOME="$home" LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec ansible-test sanity --color no \
	--python "$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
