# SPDX-License-Identifier: GPL-2.0-or-later
# For each line of standard input, prints what bash's completion of detour offers at its end, as it
# would be inserted: an offer a line, and "." after the last one.

. /usr/share/bash-completion/bash_completion
. "${0%/*}/../../completions/detour.bash"

compopt()
{
	:; # bash's own works only in a shell that somebody types into
}

while IFS= read -r COMP_LINE; do
	COMP_POINT=${#COMP_LINE}
	read -ra COMP_WORDS <<<"${COMP_LINE//=/ = }"
	[[ $COMP_LINE != *[\ =] ]] || COMP_WORDS+=("")
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	_detour "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
	printf '%s\n' "${COMPREPLY[@]}" .
done
