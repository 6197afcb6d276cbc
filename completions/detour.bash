# SPDX-License-Identifier: GPL-2.0-or-later
# Completion of detour(8) for bash-completion. Verbs and options are read from the program's own
# help, so that a new one needs nothing here. Names are others' choice: quoted, and never expanded.

_detour_verbs()
{
	sed -nE 's/^  ([a-z]+)  .*/\1/p' <<<"$1"
}

# Each with the name of its value, if it takes one.
_detour_options()
{
	sed -nE 's/^  (-[a-z], )?(--[a-z-]+)( [A-Z][A-Z/]*)?( .*)?$/\2\3/p' <<<"$1"
}

# What the document selects; of a range of ports the first.
_detour_services()
{
	grep -oE '"[0-9]+(-[0-9]+)?/(tcp|udp|sctp)"' /etc/detour/detour.json 2>/dev/null |
		sed -E 's/"//g; s/-[0-9]+//'
}

_detour_values()
{
	case $1 in
	--color) printf '%s\n' auto always never ;;
	--in) sed -nE 's/^ *([^: ]+):.*/\1/p' /proc/net/dev ;;
	--netns) find /run/netns -mindepth 1 -printf '%f\n' 2>/dev/null ;;
	--service) _detour_services ;;
	esac
}

# Those lines of a text that begin with what was typed.
_detour_offer()
{
	local line

	while IFS= read -r line; do
		[[ $line && $line == "$cur"* ]] && COMPREPLY+=("$(printf %q "$line")")
	done <<<"$1"
}

_detour()
{
	local cur prev words cword split i program help options verb file

	_init_completion -s || return
	program=${1/#~\//"$HOME/"}
	help=$("$program" --help 2>/dev/null)
	options=$(_detour_options "$help")

	# What is neither an option nor the value of one is the verb, then the file.
	for ((i = 1; i < cword; i++)); do
		if [[ $'\n'$options == *$'\n'"${words[i]} "* ]]; then
			((i++))
		elif [[ ${words[i]} != -* && $verb ]]; then
			file=${words[i]}
		elif [[ ${words[i]} != -* ]]; then
			verb=${words[i]}
			help=$("$program" "$verb" --help 2>/dev/null)
			options+=$'\n'$(_detour_options "$help")
		fi
	done

	if [[ $prev == --@(out|prometheus|svg) ]]; then
		_filedir
	elif [[ $split == true || $'\n'$options == *$'\n'"$prev "* ]]; then
		_detour_offer "$(_detour_values "$prev")"
	elif [[ $cur == -* ]]; then
		_detour_offer "$(sed 's/ .*//' <<<"$options")"
	elif [[ ! $verb ]]; then
		_detour_offer "$(_detour_verbs "$help")"
	elif [[ ! $file && $help == *"[FILE"* ]]; then
		_filedir
	fi
} && complete -F _detour detour
