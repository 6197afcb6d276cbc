/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/help.h"

#include <stdio.h>
#include <string.h>

static const char general[] =
	"detour - send selected connections through an inspection gateway\n"
	"\n"
	"Usage: detour [OPTIONS] VERB [FILE]\n"
	"\n"
	"  validate   check the document, without privileges or kernel\n"
	"  plan       show what applying it would do, and what that means for traffic\n"
	"  apply      do it; what is in sync already is not written\n"
	"  drift      the same comparison for a monitor; writes nothing\n"
	"  destroy    remove all that is detour's\n"
	"  watch      stay, tell drift as it happens, and with --repair undo it\n"
	"\n"
	"  confirm    keep a change that was applied with --confirm\n"
	"  revert     undo it at once\n"
	"  recover    undo a change that was interrupted\n"
	"  status     what is pending, and what was done last\n"
	"  import     the document that describes what was done by hand\n"
	"\n"
	"FILE is /etc/detour/detour.json unless given; - is standard input.\n"
	"\n"
	"  --json                one JSON object on standard output\n"
	"  -q, --quiet           print nothing when the exit code is 0\n"
	"  --color WHEN          auto, always or never (NO_COLOR is honoured)\n"
	"  --netns NAME          work in a named network namespace\n"
	"  -h, --help            this help; after a verb, the verb's\n"
	"  --version\n"
	"\n"
	"Exit codes: 0 done or in sync, 1 error and nothing changed, 2 something to do or\n"
	"left to do or pending, 3 conflict, 4 stale plan, 5 rolled back, 6 state unknown,\n"
	"64 usage, 75 busy: the lock is held, a change is pending, or it was reverted.\n"
	"\n"
	"Examples:\n"
	"  detour validate router.json\n"
	"  detour plan router.json              # then, if that is what you want:\n"
	"  detour apply --confirm 120 router.json\n"
	"  detour confirm                       # in time, or it is undone\n"
	"  detour --quiet drift || alert        # in a cron job\n"
	"\n"
	"See detour(8) and detour.json(5).\n";

static const struct {
	const char *verb, *text;
} helps[] = {
	{ "validate", "Usage: detour [--json] [--quiet] validate [FILE]\n"
		      "\n"
		      "Checks the document alone and lists every fault with its place (a JSON\n"
		      "pointer), the value, and what would be right. Needs no privileges.\n"
		      "\n"
		      "Exit codes: 0 the document is good, 1 it is not.\n"
		      "\n"
		      "Examples:\n"
		      "  detour validate router.json\n"
		      "  generate | detour validate -\n" },
	{ "plan",
	  "Usage: detour [OPTIONS] plan [--out PLAN] [FILE]\n"
	  "\n"
	  "Compares the document with the live state and shows what applying it means for\n"
	  "traffic, then the steps in their order, each with its effect: leak (selected\n"
	  "traffic reaches the servers unaudited), outage, exposed. Writes nothing.\n"
	  "\n"
	  "  --out PLAN   save the plan; apply PLAN takes those steps and no others\n"
	  "\n"
	  "Exit codes: 0 in sync, 2 there is something to do, 3 conflict, 1 error.\n"
	  "\n"
	  "Examples:\n"
	  "  detour plan router.json\n"
	  "  detour plan --out change.plan router.json   # later: detour apply change.plan\n"
	  "  detour plan --json router.json | jq '.steps[].object'\n" },
	{ "apply",
	  "Usage: detour [OPTIONS] apply [FILE | PLAN]\n"
	  "\n"
	  "Makes the live state that of the document with the fewest writes, then looks\n"
	  "again: what is left decides the exit code. A failure undoes what was done.\n"
	  "\n"
	  "  --check                 only report, as plan does\n"
	  "  --allow-empty           the last live redirect may go\n"
	  "  --strict                refuse while a warning is fatal: a redirect certainly\n"
	  "                          would not work\n"
	  "  --confirm SECONDS       undo it unless detour confirm comes in time (1-86400);\n"
	  "                          a hang-up or the end of this process does not matter\n"
	  "  --again                 take a document that was reverted before\n"
	  "  --last-confirmed        take the document that was confirmed last, as at boot;\n"
	  "                          FILE only when none ever was\n"
	  "  --reason TEXT           why, for syslog and detour status\n"
	  "  --lock-timeout SECONDS  how long to wait for another change (10)\n"
	  "\n"
	  "A change that was interrupted is undone first. While one awaits confirmation,\n"
	  "nothing else is applied.\n"
	  "\n"
	  "Exit codes: 0 in sync now, 2 written but steps remain (such as for an interface\n"
	  "that does not exist yet), 3 conflict or a fatal warning and nothing changed, 4 the\n"
	  "saved plan is stale, 5 rolled back, 6 state unknown, 75 busy, pending or reverted,\n"
	  "1 error and nothing changed.\n"
	  "\n"
	  "Examples:\n"
	  "  detour apply router.json\n"
	  "  detour apply --confirm 120 --reason CHG0012345 router.json\n"
	  "  detour --quiet apply router.json || echo \"exit $?\"\n" },
	{ "drift", "Usage: detour [OPTIONS] drift [--full] [FILE]\n"
		   "\n"
		   "Tells a monitor how the live state differs from the document, and what that\n"
		   "means for traffic. Writes nothing, anywhere.\n"
		   "\n"
		   "  --full   look around, too, for all that detour plan warns of\n"
		   "\n"
		   "Exit codes: 0 in sync, 2 drift, 3 conflict, 1 error.\n"
		   "\n"
		   "Examples:\n"
		   "  detour --quiet drift\n"
		   "  detour drift --json | jq -r .effect\n" },
	{ "destroy",
	  "Usage: detour [OPTIONS] destroy\n"
	  "\n"
	  "Removes all that is detour's: its nft table, its policy rules and routes, its\n"
	  "table names; restores rp_filter where the value is still detour's; ends the\n"
	  "connections that bear its marks. Selected connections go directly to the\n"
	  "servers from then on.\n"
	  "\n"
	  "  --reason TEXT           why, for syslog and detour status\n"
	  "  --lock-timeout SECONDS  how long to wait for another change (10)\n"
	  "\n"
	  "Exit codes: as apply.\n"
	  "\n"
	  "Examples:\n"
	  "  detour destroy\n" },
	{ "confirm",
	  "Usage: detour [OPTIONS] confirm\n"
	  "\n"
	  "Keeps the change that awaits confirmation: it is not undone any more, and its\n"
	  "document is the last confirmed one.\n"
	  "\n"
	  "  --reason TEXT           why, for syslog and detour status\n"
	  "  --lock-timeout SECONDS  how long to wait for another change (10)\n"
	  "\n"
	  "Exit codes: 0 confirmed, 1 nothing is pending or the time is over, 75 busy.\n"
	  "\n"
	  "Examples:\n"
	  "  detour apply --confirm 120 router.json && test-the-sessions && detour confirm\n" },
	{ "revert",
	  "Usage: detour [OPTIONS] revert\n"
	  "\n"
	  "Undoes the change that awaits confirmation at once, and looks whether the old\n"
	  "state is there. Its document is not applied again unless asked for.\n"
	  "\n"
	  "  --reason TEXT           why, for syslog and detour status\n"
	  "  --lock-timeout SECONDS  how long to wait for another change (10)\n"
	  "\n"
	  "Exit codes: 0 the old state is back, 1 nothing is pending, 6 it could not be\n"
	  "brought back, 75 busy.\n"
	  "\n"
	  "Examples:\n"
	  "  detour revert --reason 'no sessions'\n" },
	{ "recover",
	  "Usage: detour [OPTIONS] recover\n"
	  "\n"
	  "Undoes a change whose process died in the middle, and looks whether the old\n"
	  "state is there. apply and destroy do the same before anything else.\n"
	  "\n"
	  "  --reason TEXT           why, for syslog and detour status\n"
	  "  --lock-timeout SECONDS  how long to wait for another change (10)\n"
	  "\n"
	  "Exit codes: 0 the old state is there or there is nothing to recover, 6 it could\n"
	  "not be brought back, 75 busy, 1 error.\n"
	  "\n"
	  "Examples:\n"
	  "  detour recover\n" },
	{ "status", "Usage: detour [OPTIONS] status\n"
		    "\n"
		    "Shows the change that awaits confirmation, who made it and how many seconds\n"
		    "are left, and the last change that was made. Needs no privileges.\n"
		    "\n"
		    "Exit codes: 0 nothing is pending, 2 a change is, 1 error.\n"
		    "\n"
		    "Examples:\n"
		    "  detour status\n"
		    "  detour status --json | jq .pending.seconds_left\n" },
	{ "watch",
	  "Usage: detour [OPTIONS] watch [--repair] [FILE]\n"
	  "\n"
	  "Stays, and tells in a line what differs from the document as soon as it does, and\n"
	  "who did it where that is known. A link that comes back is acted on at once.\n"
	  "\n"
	  "  --repair   apply the document whenever something differs, and when it is another\n"
	  "             one; what is undone again and again is repaired less and less often\n"
	  "  --json     one JSON object a line\n"
	  "\n"
	  "SIGHUP reads the document again, as does a change of its file; while the new one\n"
	  "is bad, the last good one holds. SIGTERM ends it. Waits while a change is pending,\n"
	  "and does not undo what detour apply or destroy was run for by hand.\n"
	  "\n"
	  "Exit codes: 0 it was asked to end, 1 it cannot start, 64 usage.\n"
	  "\n"
	  "Examples:\n"
	  "  detour watch router.json\n"
	  "  detour watch --repair --json | logger -t detour\n" },
	{ "import",
	  "Usage: detour [OPTIONS] import\n"
	  "\n"
	  "Reads a router on which the procedure was carried out by hand, with iptables-nft\n"
	  "or nft and ip, and prints the document that describes it. What is not in the\n"
	  "document, and what is there twice, is listed on standard error with the reason.\n"
	  "Writes nothing.\n"
	  "\n"
	  "Exit codes: 0 all that was found is in the document, 2 something is not, 1 error.\n"
	  "\n"
	  "Examples:\n"
	  "  detour import > router.json\n"
	  "  detour import --json | jq '.not_expressed[] | .object, .why'\n" },
};

void help_print(const char *verb)
{
	for (size_t i = 0; verb && i < sizeof(helps) / sizeof(*helps); i++)
		if (!strcmp(helps[i].verb, verb)) {
			fputs(helps[i].text, stdout);
			return;
		}
	fputs(general, stdout);
}

void help_version(void)
{
	puts("detour " VERSION);
}
