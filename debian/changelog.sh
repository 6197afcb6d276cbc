#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Prints CHANGELOG.md in the form of debian/changelog, wrapped. What is not released is as old as
# that file.
set -eu
cd "$(dirname "$0")/.."

awk -v maintainer="$(sed -n 's/^Maintainer: //p' debian/control)" '
function date(day,    line, command) {
	command = day == "Unreleased" ? "date -Ru -r CHANGELOG.md" : "date -Ru -d " day
	command | getline line
	close(command)
	return line
}
function close_item(    words, count, i, line) {
	count = split(item, words, " ")
	line = "  *"
	for (i = 1; i <= count; i++) {
		if (length(line " " words[i]) > 80) {
			print line
			line = "   "
		}
		line = line " " words[i]
	}
	if (count)
		print line
	item = ""
}
function close_version() {
	close_item()
	if (version)
		printf "\n -- %s  %s\n\n", maintainer, date(day)
}
/^## / {
	close_version()
	version = $2
	day = $3
	gsub(/[()]/, "", day)
	printf "detour (%s) unstable; urgency=medium\n\n", version
	next
}
/^- / || !NF { close_item() }
version && NF {
	sub(/^(- |  )/, "")
	item = item (item ? " " : "") $0
}
END { close_version() }' CHANGELOG.md
