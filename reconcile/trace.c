/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/trace.h"

#include <netinet/in.h>
#include <string.h>

#include "reconcile/document_fields.h"
#include "reconcile/trace_parts.h"

enum { TCP_SYN = 0x02, TCP_ACK = 0x10, SCTP_INIT = 1, SCTP_INIT_ACK = 2, SEEN_REPLY = 0x02 };

/* --- what is asked -------------------------------------------------------- */

static const char *address_parse(const char *text, enum family *family, uint8_t *address)
{
	struct span span = { 0 };

	if (span_parse(text, family, &span) || memcmp(span.from, span.to, SPAN_BYTES) != 0)
		return "--client and --server take one address each, such as 10.0.0.2";
	memcpy(address, span.from, SPAN_BYTES);
	return NULL;
}

const char *connection_parse(const char *client, const char *server, const char *service,
			     struct connection *out)
{
	enum family family = FAMILY_IPV4;
	const char *wrong;

	*out = (struct connection){ 0 };
	wrong = address_parse(client, &out->family, out->client);
	if (!wrong)
		wrong = address_parse(server, &family, out->server);
	if (wrong)
		return wrong;
	if (family != out->family)
		return "--client and --server must be of one family";
	wrong = service_parse(service, &out->service);
	if (wrong || out->service.from != out->service.to)
		return "--service takes one port and its protocol, such as 3389/tcp";
	return NULL;
}

/* --- packets --------------------------------------------------------------- */

static void interface_copy(char *to, const char *name)
{
	memset(to, 0, IFNAME_SIZE);
	memcpy(to, name, strnlen(name, IFNAME_SIZE - 1));
}

/* The first packet of a connection to the server. */
static struct packet first_packet(const struct connection *connection, const uint8_t *source,
				  const char *interface)
{
	struct packet packet = {
		.family = connection->family,
		.protocol = connection->service.protocol,
		.port = connection->service.from,
		.tcp_flags = TCP_SYN,
		.sctp_chunk = SCTP_INIT,
		.tracked = true,
		.state = CT_STATE_NEW,
	};

	memcpy(packet.saddr, source, SPAN_BYTES);
	memcpy(packet.daddr, connection->server, SPAN_BYTES);
	interface_copy(packet.iif, interface);
	return packet;
}

/* The answer to a packet that went through; its connection mark is the connection's. */
static struct packet answer_to(const struct packet *request, const char *interface)
{
	struct packet packet = *request;

	memcpy(packet.saddr, request->daddr, SPAN_BYTES);
	memcpy(packet.daddr, request->saddr, SPAN_BYTES);
	memset(packet.oif, 0, sizeof(packet.oif));
	interface_copy(packet.iif, interface);
	packet.port = 0;
	packet.tcp_flags = TCP_SYN | TCP_ACK;
	packet.sctp_chunk = SCTP_INIT_ACK;
	packet.mark = 0;
	packet.state = CT_STATE_ESTABLISHED;
	packet.status = CT_STATUS_CONFIRMED | SEEN_REPLY;
	packet.direction = 1;
	return packet;
}

/* --- the end --------------------------------------------------------------- */

static void end(struct tracer *tracer, enum trace_end how, bool as_documented, const char *sentence)
{
	tracer->out->end = how;
	tracer->out->as_documented = as_documented;
	tracer->out->sentence = sentence;
}

static const char *name_of(const struct trace *trace)
{
	return trace->expected ? trace->expected->name : trace->redirect;
}

/* True when a part of the way does not let the packet pass: then that is the end. */
static bool ends_here(struct tracer *tracer, const struct passage *passage, const char *whose)
{
	struct arena *arena = tracer->arena;

	switch (passage->end) {
	case PASSAGE_FORWARDED:
		return false;
	case PASSAGE_DELIVERED:
	case PASSAGE_DROPPED:
		end(tracer, TRACE_DROPPED, false,
		    arena_printf(arena, "is dropped: %s%s", whose, passage->why));
		return true;
	case PASSAGE_UNKNOWN:
		end(tracer, TRACE_UNKNOWN, false,
		    arena_printf(arena, "cannot be told: %s%s", whose, passage->why));
		return true;
	}
	return false;
}

/* The document's gateway that the packet is handed to, or NULL. */
static const struct gateway *gateway_reached(const struct document *document,
					     const struct passage *passage)
{
	const struct course *course = &passage->course;
	enum family family = passage->flow.family;

	for (size_t i = 0; i < document->gateway_count && course->has_gateway; i++) {
		const struct gateway *gateway = &document->gateways[i];

		if (gateway->has_address[family] && course->gateway_family == family &&
		    !strcmp(gateway->interface, course->dev) &&
		    !memcmp(gateway->address[family], course->gateway, SPAN_BYTES))
			return gateway;
	}
	return NULL;
}

/* By our own rule, to a gateway that the document does not have (any longer). */
static const char *former_gateway(struct tracer *tracer, const struct passage *passage)
{
	const struct fib_rule *rule = passage->verdict.rule;

	if (!rule || rule->protocol != PROTOCOL_DETOUR || !passage->course.has_gateway)
		return NULL;
	for (size_t i = 0; i < tracer->document->gateway_count; i++)
		if (!strcmp(tracer->document->gateways[i].interface, passage->course.dev))
			return NULL;
	return walk_name(tracer->arena, &passage->prerouting, ROLE_CONVERT);
}

static bool is_lost(const struct tracer *tracer, const struct gateway *gateway, enum family family)
{
	for (size_t i = 0; i < tracer->live->route_count; i++) {
		const struct route *route = &tracer->live->routes[i];

		if (route->family == family && route->table == gateway->table &&
		    !strcmp(route->dev, gateway->interface))
			return false;
	}
	return true;
}

/* Why a connection that the document selects reaches the server. */
static const char *leak_text(struct tracer *tracer, const struct passage *request)
{
	struct arena *arena = tracer->arena;
	const struct gateway *gateway = tracer->out->expected->gateway;
	const struct fib_rule *rule = request->verdict.rule;

	if (!tracer->out->redirect)
		return unselected_text(arena, &tracer->live->nft, &request->prerouting,
				       &request->packet);
	if ((request->packet.mark & gateway->mark.mask) != gateway->mark.value)
		return arena_printf(arena, "its packets do not get the mark of %s", gateway->name);
	return arena_printf(arena, "%s takes it %s",
			    rule ? fib_rule_format(arena, rule) : "the kernel",
			    course_text(arena, &request->course));
}

static void judge_direct(struct tracer *tracer, const struct passage *request)
{
	struct trace *out = tracer->out;
	struct arena *arena = tracer->arena;
	const struct redirect *expected = out->expected;

	if (!expected) {
		end(tracer, TRACE_DIRECT, true,
		    out->redirect
			    ? "goes directly to the server: the document does not select it"
			    : arena_printf(arena, "goes directly to the server: not selected (%s)",
					   unselected_text(arena, &tracer->live->nft,
							   &request->prerouting,
							   &request->packet)));
		return;
	}
	if (out->redirect && expected->gateway->on_loss == ON_LOSS_BYPASS &&
	    is_lost(tracer, expected->gateway, request->flow.family)) {
		end(tracer, TRACE_DIRECT, false,
		    arena_printf(arena,
				 "goes directly to the server: selected by %s, but the route of "
				 "%s is gone and its on_loss is bypass",
				 expected->name, expected->gateway->name));
		return;
	}
	end(tracer, TRACE_LEAKS, false,
	    arena_printf(arena, "LEAKS: selected by %s, but %s", expected->name,
			 leak_text(tracer, request)));
}

static void judge_through(struct tracer *tracer, const char *name)
{
	struct trace *out = tracer->out;
	struct arena *arena = tracer->arena;
	const struct gateway *wanted = out->expected ? out->expected->gateway : NULL;
	bool blocks = wanted && wanted->on_loss == ON_LOSS_BLOCK;

	out->gateway = name;
	if (!wanted)
		end(tracer, TRACE_THROUGH, false,
		    arena_printf(arena, "goes through %s, but the document does not select it",
				 name));
	else if (strcmp(wanted->name, name) != 0)
		end(tracer, TRACE_THROUGH, false,
		    arena_printf(arena, "goes through %s, but the document says %s", name,
				 wanted->name));
	else if (out->loss == LOSS_BYPASSED && blocks)
		end(tracer, TRACE_THROUGH, false,
		    arena_printf(arena,
				 "goes through %s, but would LEAK were the link of %s down: "
				 "on_loss is block",
				 name, wanted->interface));
	else if (out->loss == LOSS_BLOCKED && !blocks)
		end(tracer, TRACE_THROUGH, false,
		    arena_printf(arena,
				 "goes through %s, but would be dropped were the link of %s down: "
				 "on_loss is bypass",
				 name, wanted->interface));
	else
		end(tracer, TRACE_THROUGH, true, arena_printf(arena, "goes through %s", name));
}

/* --- ways ------------------------------------------------------------------ */

static int answer_run(struct tracer *tracer, enum leg leg, const struct passage *request,
		      const char *interface, struct passage *answer)
{
	struct packet packet = answer_to(&request->packet, interface);

	return passage_run(tracer, leg, &packet, tracer->out->connection.service.from, answer);
}

/*
 * The gateway's own connection, and what the server answers: with
 * spoofs_clients that bears the client's address and must come back here.
 */
static int gateway_side_run(struct tracer *tracer, const struct gateway *gateway, bool *passes)
{
	const struct connection *connection = &tracer->out->connection;
	struct packet packet = first_packet(
		connection,
		gateway->spoofs_clients ? connection->client : gateway->address[connection->family],
		gateway->interface);
	struct passage request, answer;

	*passes = false;
	if (passage_run(tracer, LEG_GATEWAY_REQUEST, &packet, 0, &request))
		return -1;
	if (ends_here(tracer, &request, "the gateway's own connection: "))
		return 0;
	if (answer_run(tracer, LEG_GATEWAY_ANSWER, &request, request.course.dev, &answer))
		return -1;
	if (ends_here(tracer, &answer, "the server's answer to the gateway: "))
		return 0;
	*passes = !gateway->spoofs_clients || gateway_reached(tracer->document, &answer) == gateway;
	if (!*passes)
		end(tracer, TRACE_DROPPED, false,
		    arena_printf(tracer->arena, "is dropped: the server's answer passes %s by (%s)",
				 gateway->name, course_text(tracer->arena, &answer.course)));
	return 0;
}

static int through_run(struct tracer *tracer, const struct passage *request,
		       const struct gateway *gateway)
{
	struct passage answer;
	bool passes;

	if (answer_run(tracer, LEG_ANSWER, request, gateway->interface, &answer))
		return -1;
	if (ends_here(tracer, &answer, "the gateway's answer: "))
		return 0;
	if (gateway_side_run(tracer, gateway, &passes))
		return -1;
	if (!passes)
		return 0;
	if (loss_run(tracer, request, gateway))
		return -1;
	judge_through(tracer, gateway->name);
	return 0;
}

static int direct_run(struct tracer *tracer, const struct passage *request)
{
	struct passage answer;

	if (answer_run(tracer, LEG_ANSWER, request, request->course.dev, &answer))
		return -1;
	judge_direct(tracer, request);
	/* What has reached the server unaudited is a leak, whether or not it is answered. */
	if (tracer->out->end == TRACE_LEAKS || ends_here(tracer, &answer, "the server's answer: "))
		return 0;
	if (gateway_reached(tracer->document, &answer) && tracer->out->redirect)
		end(tracer, TRACE_DROPPED, false,
		    "is dropped: the server's answer is sent to the gateway");
	return 0;
}

static void expectation_find(struct tracer *tracer, const struct nft_table *wanted,
			     const struct packet *packet)
{
	struct packet copy = *packet;
	struct walk walk;
	const char *name;

	walk_hook(tracer->arena, wanted, HOOK_PREROUTING, &copy, &walk);
	name = walk_redirect(tracer->arena, &walk);
	for (size_t i = 0; name && i < tracer->document->redirect_count; i++)
		if (!strcmp(tracer->document->redirects[i].name, name))
			tracer->out->expected = &tracer->document->redirects[i];
}

static int connection_run(struct tracer *tracer, const struct packet *packet)
{
	const struct gateway *gateway;
	struct passage request;
	const char *former;

	if (passage_run(tracer, LEG_REQUEST, packet, 0, &request))
		return -1;
	tracer->out->redirect = walk_redirect(tracer->arena, &request.prerouting);
	if (ends_here(tracer, &request, name_of(tracer->out) ? "" : "not selected, but "))
		return 0;
	gateway = gateway_reached(tracer->document, &request);
	if (gateway)
		return through_run(tracer, &request, gateway);
	former = former_gateway(tracer, &request);
	if (!former)
		return direct_run(tracer, &request);
	judge_through(tracer, former);
	return 0;
}

/* --- before ---------------------------------------------------------------- */

/* The interface by which the kernel would reach the client is the one by which it comes. */
static int interface_find(struct tracer *tracer)
{
	struct connection *connection = &tracer->out->connection;
	struct flow flow = { .family = connection->family };
	struct course course;
	const char *client = address_text(tracer->arena, connection->family, connection->client);

	if (connection->interface)
		return 0;
	memcpy(flow.daddr, connection->client, SPAN_BYTES);
	if (tracer->kernel->ops->read_course(tracer->kernel, &flow, tracer->arena, &course,
					     tracer->error))
		return -1;
	if (course.fate == FATE_DELIVERED)
		return error_set(tracer->error, "own-address",
				 "%s is an address of the router itself: its own connections are "
				 "not redirected",
				 client);
	if (!*course.dev)
		return error_set(tracer->error, "no-interface",
				 "%s: the router has no route to this client; name the interface "
				 "that it comes in by with --in",
				 client);
	connection->interface = course.dev;
	return 0;
}

int trace_run(struct kernel *kernel, const struct document *document,
	      const struct comparison *comparison, const struct connection *connection,
	      struct trace *out, struct error *error)
{
	struct tracer tracer = {
		.kernel = kernel,
		.document = document,
		.live = &comparison->observed,
		.out = out,
		.arena = &out->arena,
		.error = error,
	};
	struct packet packet;

	*out = (struct trace){
		.connection = *connection,
		.around = &comparison->around,
		.sentence = "",
	};
	if (interface_find(&tracer) || kernel->ops->read_policy(kernel, connection->family,
								&out->arena, &tracer.policy, error))
		return -1;
	packet = first_packet(connection, connection->client, out->connection.interface);
	expectation_find(&tracer, &comparison->desired.nft, &packet);
	return connection_run(&tracer, &packet);
}

void trace_free(struct trace *trace)
{
	arena_free(&trace->arena);
}

bool trace_meets(const struct trace *trace, const struct other_chain *chain)
{
	bool is_on_the_way = chain->hook == PACKET_INGRESS || chain->hook == PACKET_PREROUTING ||
			     chain->hook == PACKET_FORWARD || chain->hook == PACKET_POSTROUTING;

	return chain->is_base && chain->families[trace->connection.family] && is_on_the_way &&
	       (chain->rule_count || chain->drops);
}

/* --- words ----------------------------------------------------------------- */

const char *leg_name(enum leg leg)
{
	static const char *const names[LEG_COUNT] = {
		[LEG_REQUEST] = "request",
		[LEG_ANSWER] = "answer",
		[LEG_GATEWAY_REQUEST] = "gateway-request",
		[LEG_GATEWAY_ANSWER] = "gateway-answer",
		[LEG_LOSS] = "link-down",
	};

	return names[leg];
}

const char *packet_hook_name(enum packet_hook hook)
{
	static const char *const names[PACKET_HOOKS] = {
		[PACKET_INGRESS] = "ingress", [PACKET_PREROUTING] = "prerouting",
		[PACKET_INPUT] = "input",     [PACKET_FORWARD] = "forward",
		[PACKET_OUTPUT] = "output",   [PACKET_POSTROUTING] = "postrouting",
	};

	return names[hook];
}

const char *stage_name(enum stage stage)
{
	static const char *const names[STAGE_COUNT] = {
		[STAGE_CLASSIFICATION] = "classification",
		[STAGE_CONNECTION_MARK] = "connection-mark",
		[STAGE_PACKET_MARK] = "packet-mark",
		[STAGE_RULE] = "rule",
		[STAGE_ROUTE] = "route",
		[STAGE_NEIGHBOUR] = "neighbour",
		[STAGE_GUARD] = "guard",
	};

	return names[stage];
}

const char *trace_end_name(enum trace_end how)
{
	static const char *const names[] = {
		[TRACE_THROUGH] = "through", [TRACE_DIRECT] = "direct",   [TRACE_LEAKS] = "leaks",
		[TRACE_DROPPED] = "dropped", [TRACE_UNKNOWN] = "unknown",
	};

	return names[how];
}

const char *trace_loss_name(enum trace_loss loss)
{
	static const char *const names[] = {
		[LOSS_NOT_ASKED] = "not-asked",
		[LOSS_BLOCKED] = "blocked",
		[LOSS_BYPASSED] = "bypassed",
		[LOSS_UNKNOWN] = "unknown",
	};

	return names[loss];
}
