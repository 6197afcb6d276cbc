# SPDX-License-Identifier: GPL-2.0-or-later
# offers.zsh FILE: for each line of standard input, prints what zsh's completion of detour offers at
# its end, or where a ^ stands, as it would be inserted: an offer a line, and "." after the last
# one. A second zsh, on a terminal of its own, is typed into, and writes them to FILE; it sources
# this one, too.

note_offers()
{
	local -a found

	if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then # else it is a question, not an offer
		builtin compadd -A found "$@"
		print -rl -- $found >>$offers
	fi
	builtin compadd "$@"
}

complete_line()
{
	functions[compadd]=$functions[note_offers]
	_main_complete
	unset 'functions[compadd]'
	compstate[insert]= compstate[list]=
	zle -M 'It is'' done.'
}

be_typed_into()
{
	fpath=($here/../../completions $fpath)
	autoload -Uz compinit && compinit -u -D
	zle -C complete_line complete-word complete_line
	bindkey '^I' complete_line
	print 'It is'' ready.'
}

type_into()
{
	local seen before behind offers=$1

	zmodload zsh/zpty
	zpty shell zsh -f -i
	zpty -w shell "PS1= offers=${(q)offers} here=${(q)here}; . ${(q)here}/offers.zsh"
	zpty -r shell seen '*It is ready.*'
	while IFS=^ read -r before behind; do
		: >$offers
		zpty -w -n shell $'\C-u'$before$behind${behind//?/$'\C-b'}$'\t'
		zpty -r shell seen '*It is done.*'
		print -rl -- ${(f)"$(<$offers)"} .
	done
}

if (( $+here )); then
	be_typed_into
else
	here=${0:A:h}
	type_into "$@"
fi
