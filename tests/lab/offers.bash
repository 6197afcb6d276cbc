# SPDX-License-Identifier: GPL-2.0-or-later
# For each line of standard input, prints what bash's completion of detour offers at its end, or
# where a ^ stands, as it would be inserted: an offer a line, and "." after the last one.

. /usr/share/bash-completion/bash_completion
. "${0%/*}/../../completions/detour.bash"

compopt()
{
	:; # bash's own works only in a shell that somebody types into
}

while IFS=^ read -r before behind; do
	COMP_LINE=$before$behind COMP_POINT=${#before}
	read -ra COMP_WORDS <<<"${before//=/ = }"
	[[ $before != *[\ =] ]] || COMP_WORDS+=("")
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	read -ra behind <<<"$behind"
	COMP_WORDS+=("${behind[@]}")
	_detour "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
	printf '%s\n' "${COMPREPLY[@]}" .
done
