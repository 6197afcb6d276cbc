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

# Takes quotes away, and expands nothing.
_detour_unquote()
{
	xargs printf %s <<<"$1" 2>/dev/null
}

# The document of the command line, else the one that the program would take, on one line.
_detour_document()
{
	local path=/etc/${netns:+netns/$netns/}detour

	[[ -e $path ]] || path=/etc/detour
	path=${file:-$path/detour.json}
	[[ ! -f $path || ! -r $path ]] || tr '[:space:]' ' ' <"$path"
}

# Of gateways and redirects.
_detour_names()
{
	_detour_document | LC_ALL=C grep -aoE '"name" *: *"[a-z][a-z0-9_-]{0,30}"' | cut -d '"' -f 4
}

# What the document selects; of a range of ports the first.
_detour_services()
{
	_detour_document | LC_ALL=C grep -aoE '"[0-9]+(-[0-9]+)?/(tcp|udp|sctp)"' |
		sed -E 's/"//g; s/-[0-9]+//'
}

_detour_values()
{
	case $1 in
	--color) printf '%s\n' auto always never ;;
	--in) sed -nE 's/^ *([^: ]+):.*/\1/p' /proc/net/dev ;;
	--netns) find /run/netns -mindepth 1 -printf '%f\n' 2>/dev/null ;;
	--only) _detour_names ;;
	--service) _detour_services ;;
	esac
}

# Those lines of a text that begin with what was typed.
_detour_offer()
{
	local line

	while IFS= read -r line; do
		[[ $line && $line == "$cur"* ]] || continue
		printf -v line %q "$line"
		COMPREPLY+=("$line")
	done <<<"$1"
}

_detour()
{
	local cur prev words cword split i program help options verb file netns

	_init_completion -s || return
	cur=${cur# } # it takes the blank between the cursor and the next word for a beginning
	program=${1/#~\//"$HOME/"}
	help=$("$program" --help 2>/dev/null)
	options=$(_detour_options "$help")

	# What is neither an option nor the value of one is the verb, then the file.
	for ((i = 1; i < ${#words[@]}; i++)); do
		if ((i == cword)); then
			continue
		elif [[ $'\n'$options == *$'\n'"${words[i]} "* ]]; then
			[[ ${words[i]} != --netns ]] || netns=${words[i + 1]}
			((i++))
		elif [[ ${words[i]} == --netns=* ]]; then
			netns=${words[i]#*=}
		elif [[ ${words[i]} != -?* && $verb ]]; then
			file=$(_detour_unquote "${words[i]}")
			file=${file/#~\//"$HOME/"}
		elif [[ ${words[i]} != -* ]] && ((i < cword)); then
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
