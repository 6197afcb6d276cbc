/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One packet, from the interface by which it comes in to the one by which it leaves. */
#include "reconcile/trace_parts.h"

#include <string.h>

void stage_add(struct tracer *tracer, enum leg leg, enum stage stage, bool stops,
	       const char *result, const char *object)
{
	struct trace *out = tracer->out;

	*ARENA_PUSH(tracer->arena, out->stages, out->stage_count, out->stage_room) =
		(struct trace_stage){ leg, stage, result, object, stops };
}

const char *address_text(struct arena *arena, enum family family, const uint8_t *address)
{
	char text[SPAN_TEXT];

	return arena_strdup(arena, address_format(address, family, text));
}

const char *walk_name(struct arena *arena, const struct walk *walk, enum role role)
{
	const struct walk_step *step = walk_held(walk, role);
	const char *word = step ? strchr(step->rule->comment, ' ') : NULL;

	if (!word)
		return NULL;
	word++;
	return arena_printable(arena, arena_printf(arena, "%.*s", (int)strcspn(word, " "), word));
}

const char *walk_redirect(struct arena *arena, const struct walk *walk)
{
	return walk_held(walk, ROLE_MARK) ? walk_name(arena, walk, ROLE_SELECT) : NULL;
}

/* "chain redirect_rdp, rule \"select rdp ipv4\"" */
static const char *step_text(struct arena *arena, const struct walk_step *step)
{
	const char *rule =
		*step->rule->comment ? step->rule->comment : nft_rule_format(arena, step->rule);

	return arena_printf(arena, "chain %s, rule \"%s\"",
			    arena_printable(arena, step->chain->name),
			    arena_printable(arena, rule));
}

/* --- classification ------------------------------------------------------ */

/* NULL when the condition says nothing that a reader of the document would know. */
static const char *condition_text(struct arena *arena, const struct walk_step *step,
				  const struct packet *packet)
{
	char service[SPAN_TEXT];

	switch (step->stmt->field) {
	case FIELD_IIFNAME:
		return arena_printf(arena, "%s is no client interface of it",
				    arena_printable(arena, packet->iif));
	case FIELD_SERVICE:
		service_format(&(struct service){ packet->protocol, packet->port, packet->port },
			       service);
		return arena_printf(arena, "%s is no service of it", service);
	case FIELD_IP_SADDR:
	case FIELD_IP6_SADDR:
		return arena_printf(
			arena, "%s is %s", address_text(arena, packet->family, packet->saddr),
			step->stmt->negate ? "excepted from its clients" : "no client of it");
	case FIELD_IP_DADDR:
	case FIELD_IP6_DADDR:
		return arena_printf(
			arena, "%s is %s", address_text(arena, packet->family, packet->daddr),
			step->stmt->negate ? "excepted from its servers" : "no server of it");
	case FIELD_NFPROTO:
	case FIELD_L4PROTO:
	case FIELD_OIFNAME:
	case FIELD_META_MARK:
	case FIELD_CT_STATE:
	case FIELD_CT_STATUS:
	case FIELD_CT_DIRECTION:
	case FIELD_CT_MARK:
	case FIELD_TCP_FLAGS:
	case FIELD_SCTP_CHUNK:
	case FIELD_COUNT:
		break;
	}
	return NULL;
}

/* Of a look-up that should have led to redirects. */
static const char *dispatch_text(struct arena *arena, const struct walk_step *step,
				 const struct packet *packet)
{
	char service[SPAN_TEXT];

	if (step->held || step->stmt->type != STMT_VMAP)
		return NULL;
	if (step->stmt->field == FIELD_SERVICE) {
		service_format(&(struct service){ packet->protocol, packet->port, packet->port },
			       service);
		return arena_printf(arena, "%s is no service of the redirects to that server",
				    service);
	}
	if (step->stmt->field == FIELD_IP_DADDR || step->stmt->field == FIELD_IP6_DADDR)
		return arena_printf(arena, "no redirect has the server %s",
				    address_text(arena, packet->family, packet->daddr));
	return arena_printf(arena, "no redirect to that server has the client %s",
			    address_text(arena, packet->family, packet->saddr));
}

/* "rdp: ..." for a redirect's own conditions. */
static const char *select_text(struct arena *arena, const struct walk_step *step,
			       const struct packet *packet)
{
	const char *name = strchr(step->rule->comment, ' ');
	const char *condition = condition_text(arena, step, packet);

	if (step->held || !name || !condition)
		return NULL;
	name = arena_printf(arena, "%.*s", (int)strcspn(name + 1, " "), name + 1);
	return arena_printf(arena, "%s: %s", arena_printable(arena, name), condition);
}

const char *unselected_text(struct arena *arena, const struct nft_table *table,
			    const struct walk *walk, const struct packet *packet)
{
	const char *text = "";

	if (!table->exists)
		return "there is no table inet detour";
	if (table->is_dormant)
		return "the table inet detour is dormant";
	for (size_t i = 0; i < walk->step_count; i++) {
		const struct walk_step *step = &walk->steps[i];
		const char *one = NULL;

		if (step->rule->role == ROLE_SELECT)
			one = select_text(arena, step, packet);
		else if (step->rule->role == ROLE_DISPATCH)
			one = dispatch_text(arena, step, packet);
		/* Redirects are tried once a family and, by some rules, twice. */
		if (one && !strstr(text, one))
			text = arena_printf(arena, "%s%s%s", text, *text ? "; " : "", one);
	}
	return *text ? text : "no rule of the table inet detour selects it";
}

/* Of packets that begin a connection. */
static void classification_add(struct tracer *tracer, const struct passage *passage)
{
	struct arena *arena = tracer->arena;
	const struct walk *walk = &passage->prerouting;
	const struct walk_step *selected = walk_held(walk, ROLE_MARK);
	const struct walk_step *answered = walk_held(walk, ROLE_ANSWER);
	const struct walk_step *conditions = walk_held(walk, ROLE_SELECT);
	const char *name = walk_name(arena, walk, ROLE_SELECT);

	if (!selected && !answered) {
		stage_add(tracer, passage->leg, STAGE_CLASSIFICATION, false,
			  arena_printf(arena, "not selected: %s",
				       unselected_text(arena, &tracer->live->nft, walk,
						       &passage->packet)),
			  NULL);
		return;
	}
	stage_add(tracer, passage->leg, STAGE_CLASSIFICATION, false,
		  arena_printf(arena,
			       selected ? "selected by %s" : "the gateway's own connection for %s",
			       name ? name : "a rule without a name"),
		  step_text(arena, conditions ? conditions
				   : selected ? selected
					      : answered));
}

/* --- marks --------------------------------------------------------------- */

/* The last held rule that wrote the mark; NULL when none did. */
static const struct walk_step *marked_by(const struct walk *walk, enum field field)
{
	for (size_t i = walk->step_count; i-- > 0;) {
		const struct walk_step *step = &walk->steps[i];

		for (size_t j = 0; step->held && j < step->rule->stmt_count; j++)
			if (step->rule->stmts[j].type == STMT_MARK &&
			    step->rule->stmts[j].field == field)
				return step;
	}
	return NULL;
}

static void mark_add(struct tracer *tracer, const struct passage *passage, enum stage stage,
		     enum field field, uint32_t mark)
{
	const struct walk_step *step = marked_by(&passage->prerouting, field);

	stage_add(tracer, passage->leg, stage, false,
		  mark ? arena_printf(tracer->arena, "0x%x", mark) : "none",
		  step ? step_text(tracer->arena, step) : NULL);
}

/* --- the hooks ----------------------------------------------------------- */

/* NULL, or why the packet goes no further. *end says in which way. */
static const char *walk_text(struct arena *arena, const struct walk *walk, enum passage_end *end)
{
	const struct walk_step *last;

	if (walk->unknown) {
		*end = PASSAGE_UNKNOWN;
		return arena_printf(arena, "table inet detour, %s",
				    arena_printable(arena, walk->unknown));
	}
	if (!walk->dropped)
		return NULL;
	*end = PASSAGE_DROPPED;
	if (walk->policy)
		return arena_printf(arena, "the policy of chain %s of inet detour drops it",
				    arena_printable(arena, walk->policy->name));
	last = &walk->steps[walk->step_count - 1];
	return arena_printf(arena, "%s of inet detour drops it", step_text(arena, last));
}

static void prerouting_run(struct tracer *tracer, struct passage *passage)
{
	bool begins = passage->packet.state == CT_STATE_NEW;

	walk_hook(tracer->arena, &tracer->live->nft, HOOK_PREROUTING, &passage->packet,
		  &passage->prerouting);
	passage->why = walk_text(tracer->arena, &passage->prerouting, &passage->end);
	if (begins && !passage->prerouting.unknown)
		classification_add(tracer, passage);
	if (passage->why) {
		stage_add(tracer, passage->leg, STAGE_PACKET_MARK, true, passage->why, NULL);
		return;
	}
	if (begins)
		mark_add(tracer, passage, STAGE_CONNECTION_MARK, FIELD_CT_MARK,
			 passage->packet.connection_mark);
	mark_add(tracer, passage, STAGE_PACKET_MARK, FIELD_META_MARK, passage->packet.mark);
}

const char *guard_run(struct tracer *tracer, struct passage *passage, const char *dev)
{
	struct packet *packet = &passage->packet;
	const char *why;

	memset(packet->oif, 0, sizeof(packet->oif));
	memcpy(packet->oif, dev, strnlen(dev, IFNAME_SIZE - 1));
	walk_hook(tracer->arena, &tracer->live->nft, HOOK_FORWARD, packet, &passage->forward);
	why = walk_text(tracer->arena, &passage->forward, &passage->end);
	stage_add(tracer, passage->leg, STAGE_GUARD, why != NULL, why ? why : "passes", NULL);
	return why;
}

/* --- routing ------------------------------------------------------------- */

struct flow flow_of(const struct packet *packet, uint16_t sport)
{
	struct flow flow = {
		.family = packet->family,
		.iif = packet->iif,
		.protocol = packet->protocol,
		.sport = sport,
		.dport = packet->port,
		.mark = packet->mark,
	};

	memcpy(flow.saddr, packet->saddr, SPAN_BYTES);
	memcpy(flow.daddr, packet->daddr, SPAN_BYTES);
	return flow;
}

const char *course_text(struct arena *arena, const struct course *course)
{
	const char *dev = arena_printable(arena, course->dev);

	if (!course->has_gateway)
		return arena_printf(arena, "dev %s", dev);
	return arena_printf(arena, "via %s dev %s",
			    address_text(arena, course->gateway_family, course->gateway), dev);
}

static void rule_add(struct tracer *tracer, const struct passage *passage)
{
	struct arena *arena = tracer->arena;
	const struct policy_verdict *verdict = &passage->verdict;
	const char *result = "none of them decides";

	if (verdict->rule)
		result = verdict->rule->action == FIB_LOOKUP
				 ? arena_printf(arena, "table %u", verdict->rule->table)
				 : "refused";
	if (verdict->contradicts)
		result = arena_printf(arena, "%s, against what the rules say: the kernel's answer",
				      result);
	if (verdict->doubt)
		result = arena_printf(arena, "%s (not evaluated: %s)", result,
				      fib_rule_format(arena, verdict->doubt));
	stage_add(tracer, passage->leg, STAGE_RULE, false, result,
		  verdict->rule ? fib_rule_format(arena, verdict->rule) : NULL);
}

/* "table 103, default" */
static const char *route_text(struct arena *arena, const struct passage *passage)
{
	const struct course *course = &passage->course;
	enum family family = passage->flow.family;
	char text[SPAN_TEXT];

	return arena_printf(arena, "table %u, %s%s", course->table,
			    course->prefix ? span_format(&course->route, family, text) : "default",
			    course->multipath ? ", one of several next hops" : "");
}

static void route_add(struct tracer *tracer, const struct passage *passage)
{
	struct arena *arena = tracer->arena;
	const struct course *course = &passage->course;

	if (course->fate == FATE_FORWARDED || (course->fate == FATE_STOPPED && *course->dev))
		stage_add(tracer, passage->leg, STAGE_ROUTE, course->fate == FATE_STOPPED,
			  course_text(arena, course), route_text(arena, passage));
	else if (course->fate == FATE_DELIVERED)
		stage_add(tracer, passage->leg, STAGE_ROUTE, false, "to the router itself",
			  route_text(arena, passage));
	else
		stage_add(tracer, passage->leg, STAGE_ROUTE, true, course->words, NULL);
}

static void neighbour_add(struct tracer *tracer, const struct passage *passage)
{
	struct arena *arena = tracer->arena;
	const struct course *course = &passage->course;
	const struct flow *flow = &passage->flow;
	enum family family = course->has_gateway ? course->gateway_family : flow->family;

	stage_add(tracer, passage->leg, STAGE_NEIGHBOUR,
		  course->neighbour.state == NEIGHBOUR_FAILED,
		  neighbour_name(course->neighbour.state),
		  arena_printf(arena, "%s on %s",
			       address_text(arena, family,
					    course->has_gateway ? course->gateway : flow->daddr),
			       arena_printable(arena, course->dev)));
}

/* NULL, or why the packet goes no further. */
static const char *course_judge(struct tracer *tracer, struct passage *passage)
{
	struct arena *arena = tracer->arena;
	const struct course *course = &passage->course;

	switch (course->fate) {
	case FATE_FORWARDED:
		if (course->neighbour.state != NEIGHBOUR_FAILED)
			return NULL;
		passage->end = PASSAGE_DROPPED;
		return arena_printf(arena, "nobody answers at the next hop (%s)",
				    course_text(arena, course));
	case FATE_DELIVERED:
		passage->end = PASSAGE_DELIVERED;
		return arena_printf(arena, "%s is an address of the router itself",
				    address_text(arena, passage->flow.family, passage->flow.daddr));
	case FATE_NO_ROUTE:
	case FATE_UNREACHABLE:
	case FATE_PROHIBITED:
	case FATE_INVALID:
	case FATE_STOPPED:
		break;
	}
	passage->end = PASSAGE_DROPPED;
	if (passage->verdict.rule)
		return arena_printf(arena, "%s", fib_rule_format(arena, passage->verdict.rule));
	return course->words;
}

static int routing_run(struct tracer *tracer, struct passage *passage)
{
	if (tracer->kernel->ops->read_course(tracer->kernel, &passage->flow, tracer->arena,
					     &passage->course, tracer->error))
		return -1;
	policy_explain(&tracer->policy, &passage->flow, &passage->course, &passage->verdict);
	rule_add(tracer, passage);
	route_add(tracer, passage);
	if (passage->course.fate == FATE_FORWARDED)
		neighbour_add(tracer, passage);
	passage->why = course_judge(tracer, passage);
	return 0;
}

int passage_run(struct tracer *tracer, enum leg leg, const struct packet *packet, uint16_t sport,
		struct passage *out)
{
	*out = (struct passage){ .leg = leg, .packet = *packet };
	prerouting_run(tracer, out);
	if (out->why)
		return 0;
	out->flow = flow_of(&out->packet, sport);
	if (routing_run(tracer, out))
		return -1;
	if (!out->why)
		out->why = guard_run(tracer, out, out->course.dev);
	return 0;
}
