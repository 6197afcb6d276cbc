/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Were the gateway's link down, its routes would be gone. What then decides is
 * found among the live rules: a look-up in a gateway's table finds what leads
 * elsewhere in there, one in another table what the kernel finds in it today
 * for the same packet without the gateway's mark.
 */
#include "reconcile/trace_parts.h"

#include <string.h>

struct loss {
	struct tracer *tracer;
	const struct gateway *gateway;
	const struct flow *flow;
	/* The same packet without the gateway's bits, today. */
	struct flow bare;
	struct course course;
	struct policy_verdict verdict;
	/* What comes of it. */
	enum trace_loss end;
	const struct fib_rule *rule; /* that decides */
	const char *dev;             /* it leaves by */
	const char *result;
};

static bool is_gateways_table(const struct document *document, uint32_t table)
{
	for (size_t i = 0; i < document->gateway_count; i++)
		if (document->gateways[i].table == table)
			return true;
	return false;
}

/* What is left in a gateway's table; its routes over the link are gone. */
static const struct route *route_left(const struct loss *loss, uint32_t table)
{
	const struct state *live = loss->tracer->live;

	for (size_t i = 0; i < live->route_count; i++) {
		const struct route *route = &live->routes[i];

		if (route->family == loss->flow->family && route->table == table &&
		    strcmp(route->dev, loss->gateway->interface) != 0 &&
		    (route->is_default ||
		     (memcmp(route->dst.from, loss->flow->daddr, SPAN_BYTES) <= 0 &&
		      memcmp(loss->flow->daddr, route->dst.to, SPAN_BYTES) <= 0)))
			return route;
	}
	return NULL;
}

static bool end(struct loss *loss, enum trace_loss how, const struct fib_rule *rule,
		const char *dev, const char *result)
{
	loss->end = how;
	loss->rule = rule;
	loss->dev = dev;
	loss->result = result;
	return true;
}

/* True when the look-up ends it. */
static bool gateways_table_ends(struct loss *loss, const struct fib_rule *rule)
{
	const struct route *route = route_left(loss, rule->table);

	if (!route)
		return false;
	if (route->type == ROUTE_UNICAST && !route->multipath && *route->dev)
		return end(loss, LOSS_BYPASSED, rule, route->dev, "another route of the table");
	return end(loss, LOSS_UNKNOWN, rule, NULL, "a route of another kind in the table");
}

static bool other_table_ends(struct loss *loss, const struct fib_rule *rule)
{
	bool is_bare = fib_rule_match(rule, &loss->bare) == MATCH_YES;

	if (!is_bare)
		return end(loss, LOSS_UNKNOWN, rule, NULL, "the table's routes are not known");
	if (loss->verdict.rule != rule)
		return false;
	if (loss->course.fate != FATE_FORWARDED)
		return end(loss, LOSS_BLOCKED, rule, NULL, loss->course.words);
	if (!strcmp(loss->course.dev, loss->gateway->interface))
		return end(loss, LOSS_UNKNOWN, rule, NULL,
			   "the way to the server leads over the lost link, too");
	return end(loss, LOSS_BYPASSED, rule, loss->course.dev,
		   course_text(loss->tracer->arena, &loss->course));
}

static bool rule_ends(struct loss *loss, const struct fib_rule *rule)
{
	switch (rule->action) {
	case FIB_LOOKUP:
		return is_gateways_table(loss->tracer->document, rule->table)
			       ? gateways_table_ends(loss, rule)
			       : other_table_ends(loss, rule);
	case FIB_UNREACHABLE:
	case FIB_PROHIBIT:
	case FIB_BLACKHOLE:
		return end(loss, LOSS_BLOCKED, rule, NULL, "refused");
	case FIB_GOTO:
	case FIB_NOP:
	case FIB_OTHER:
		break;
	}
	return false;
}

static void rules_follow(struct loss *loss)
{
	const struct policy *policy = &loss->tracer->policy;
	const struct fib_rule *rule = policy->count ? policy->rules : NULL;

	while (rule) {
		enum policy_match match = fib_rule_match(rule, loss->flow);

		if (match == MATCH_YES && rule_ends(loss, rule))
			return;
		rule = policy_next(policy, rule, match);
	}
	end(loss, LOSS_BLOCKED, NULL, NULL, "there is no route");
}

int loss_run(struct tracer *tracer, const struct passage *request, const struct gateway *gateway)
{
	struct loss loss = { .tracer = tracer, .gateway = gateway, .flow = &request->flow };
	struct kernel *kernel = tracer->kernel;
	struct passage passage = { .leg = LEG_LOSS, .packet = request->packet };

	loss.bare = request->flow;
	loss.bare.mark &= ~gateway->mark.mask;
	if (kernel->ops->read_course(kernel, &loss.bare, tracer->arena, &loss.course,
				     tracer->error))
		return -1;
	policy_explain(&tracer->policy, &loss.bare, &loss.course, &loss.verdict);
	rules_follow(&loss);
	stage_add(tracer, LEG_LOSS, STAGE_RULE, loss.end == LOSS_BLOCKED, loss.result,
		  loss.rule ? fib_rule_format(tracer->arena, loss.rule) : NULL);
	if (loss.end == LOSS_BYPASSED && guard_run(tracer, &passage, loss.dev))
		loss.end = passage.end == PASSAGE_UNKNOWN ? LOSS_UNKNOWN : LOSS_BLOCKED;
	tracer->out->loss = loss.end;
	return 0;
}
