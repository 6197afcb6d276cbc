/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random documents, random packets: the rules must do what a naive reading of
 * the document says. SEED and ROUNDS in the environment look further.
 */
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reconcile/expand.h"
#include "reconcile/reconcile.h"
#include "reconcile/walk.h"
#include "tests/unit/fixture.h"

enum { ROUNDS = 300, PACKETS = 300 };

static uint64_t seed;

/* splitmix64 */
static uint32_t draw(uint32_t below)
{
	uint64_t x = seed += 0x9e3779b97f4a7c15u;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return (uint32_t)((x ^ (x >> 31)) % below);
}

static bool chance(uint32_t percent)
{
	return draw(100) < percent;
}

#define PICK(array) ((array)[draw(sizeof(array) / sizeof(*(array)))])

/* --- documents ----------------------------------------------------------- */

/* A small world, so that much overlaps; its ends, so that nothing wraps around. */
static void write_network(FILE *out, enum family family, unsigned site)
{
	static const char *const far[] = { "0.0.0.0/1",   "255.255.255.255",
					   "224.0.0.0/3", "0.0.0.0",
					   "::",          "::/4",
					   "f000::/4",    "::-::5" };
	unsigned from = draw(64), to = from + draw(64 - from), bits = draw(7);

	if (chance(8))
		fprintf(out, "'%s'", far[draw(4) + (family == FAMILY_IPV6 ? 4 : 0)]);
	else if (chance(50))
		fprintf(out,
			family == FAMILY_IPV4 ? "'10.%u.0.%u-10.%u.0.%u'"
					      : "'fd%02u::%x-fd%02u::%x'",
			site, from, site, to);
	else if (family == FAMILY_IPV4)
		fprintf(out, "'10.%u.0.%u/%u'", site, from >> bits << bits, 32 - bits);
	else
		fprintf(out, "'fd%02u::%x/%u'", site, from >> bits << bits, 128 - bits);
}

/* At least one of each family. */
static void write_networks(FILE *out, const char *key, bool both, unsigned site)
{
	fprintf(out, "'%s':[", key);
	for (unsigned i = draw(3); i-- > 0; fputc(',', out))
		write_network(out, both ? draw(2) : FAMILY_IPV4, site);
	write_network(out, FAMILY_IPV4, site);
	if (both) {
		fputc(',', out);
		write_network(out, FAMILY_IPV6, site);
	}
	fputc(']', out);
}

static void write_services(FILE *out)
{
	static const char *const protocols[] = { "tcp", "tcp", "udp", "sctp" };

	fputs("'services':[", out);
	for (unsigned i = 1 + draw(3); i-- > 0;) {
		unsigned from = chance(10) ? 65530 : 1, low = from + draw(6);
		unsigned high = low + draw(from + 6 - low);

		if (chance(50))
			fprintf(out, "'%u/%s'%s", low, PICK(protocols), i ? "," : "");
		else
			fprintf(out, "'%u-%u/%s'%s", low, high, PICK(protocols), i ? "," : "");
	}
	fputc(']', out);
}

static void write_gateway(FILE *out, const char *name, unsigned index, bool both, bool shared)
{
	fprintf(out, "{'name':'%s','interface':'%s','addresses':['192.0.2.%u'", name,
		shared ? "gw" : name, index + 1);
	if (both)
		fprintf(out, ",'2001:db8::%u'", index + 1);
	fprintf(out,
		"],'mark':'0x%x/0xf0','table':%u,'priority':%u,'spoofs_clients':%s,'on_loss':'%s'}",
		(index + 1) << 4, 100 + index, 100 + 10 * index, chance(40) ? "true" : "false",
		chance(70) ? "block" : "bypass");
}

static void write_redirect(FILE *out, unsigned index, bool both, bool second_gateway)
{
	static const char *const interfaces[] = { "'eth0'", "'eth1'", "'eth*'", "'eth0','vlan*'",
						  "'vlan7'" };
	static const char *const existing[] = { "keep", "keep", "tracked", "redirect" };

	fprintf(out, "{'name':'r%u','gateway':'%s','enabled':%s,'existing_connections':'%s',",
		index, second_gateway ? "gwb" : "gwa", chance(90) ? "true" : "false",
		PICK(existing));
	fprintf(out, "'clients':{'interfaces':[%s]", PICK(interfaces));
	if (chance(60)) {
		fputc(',', out);
		write_networks(out, "networks", both, 0);
	}
	if (chance(40)) {
		fputc(',', out);
		write_networks(out, "except", both, 0);
	}
	fputs("},'servers':{", out);
	write_networks(out, "networks", both, second_gateway ? 2 : 1);
	if (chance(40)) {
		fputc(',', out);
		write_networks(out, "except", both, second_gateway ? 2 : 1);
	}
	fputs("},", out);
	write_services(out);
	fputc('}', out);
}

static char *random_text(void)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	bool both = chance(80), shared = chance(20), two = chance(40);

	fputs("{'version':1,'gateways':[", out);
	write_gateway(out, "gwa", 0, both, shared);
	fputc(',', out);
	write_gateway(out, "gwb", 1, both, shared);
	fputs("],'redirects':[", out);
	for (unsigned i = 0, count = 1 + draw(7); i < count; i++) {
		if (i)
			fputc(',', out);
		write_redirect(out, i, both, two && chance(40));
	}
	fputs("]}", out);
	fclose(out);
	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	return text;
}

/* Not every text is sound: an exception may leave nothing, gateways may overlap. */
static char *random_document(struct document *document)
{
	for (;;) {
		struct faults faults = { 0 };
		char *text = random_text();
		int code = document_decode(text, strlen(text), document, &faults);

		faults_free(&faults);
		if (code == 0)
			return text;
		document_free(document);
		free(text);
	}
}

/* --- packets ------------------------------------------------------------- */

static void random_bytes(uint8_t *key, size_t bytes)
{
	memset(key, 0, SPAN_BYTES);
	for (size_t i = 0; i < bytes; i++)
		key[i] = (uint8_t)draw(256);
}

/* An end of a random span, or next to one. */
static void random_address(const struct spans *a, const struct spans *b, enum family family,
			   uint8_t *key)
{
	const struct spans *spans = b->count && chance(40) ? b : a;
	const struct span *span;

	if (!spans->count || chance(3)) {
		random_bytes(key, family_bytes(family));
		return;
	}
	span = &spans->items[draw((uint32_t)spans->count)];
	memcpy(key, chance(50) ? span->from : span->to, SPAN_BYTES);
	if (chance(25))
		key_increment(key, family_bytes(family));
	else if (chance(25))
		key_decrement(key, family_bytes(family));
}

static void random_service(const struct redirect *redirect, struct packet *packet)
{
	const struct service *service =
		&redirect->services[draw((uint32_t)redirect->service_count)];

	packet->protocol =
		chance(95) ? service->protocol : PICK(((uint8_t[]){ 1, 6, 17, 58, 132 }));
	packet->port = chance(50) ? service->from : service->to;
	packet->port = (uint16_t)(packet->port + (chance(15) ? 1 : 0) - (chance(15) ? 1 : 0));
	packet->tcp_flags = PICK(((uint8_t[]){ 0x02, 0x02, 0xc2, 0x10, 0x12, 0x11, 0x03, 0x18 }));
	packet->sctp_chunk = PICK(((uint8_t[]){ 1, 1, 0, 2 }));
}

static void random_tracking(const struct document *document, struct packet *packet)
{
	const struct gateway *gateway =
		&document->gateways[draw((uint32_t)document->gateway_count)];

	packet->tracked = chance(90);
	if (!packet->tracked) {
		packet->state = chance(50) ? CT_STATE_INVALID : CT_STATE_UNTRACKED;
		return;
	}
	if (chance(60)) {
		packet->state = chance(80) ? CT_STATE_NEW : CT_STATE_RELATED;
	} else {
		packet->status = CT_STATUS_CONFIRMED;
		packet->state = chance(70) ? CT_STATE_ESTABLISHED : CT_STATE_NEW;
		packet->direction = packet->state == CT_STATE_ESTABLISHED && chance(40);
	}
	packet->connection_mark = chance(20) ? gateway->mark.value : 0;
	packet->connection_mark |= chance(30) ? 0xff00ff0f : 0;
}

static void random_packet(const struct document *document, struct packet *packet)
{
	static const char *const interfaces[] = { "eth0", "eth1", "eth10", "eth",  "vlan", "vlan7",
						  "gw",   "gwa",  "gwb",   "ppp0", "wlan0" };
	const struct redirect *redirect =
		&document->redirects[draw((uint32_t)document->redirect_count)];
	enum family family = redirect->servers.networks[FAMILY_IPV6].count ? draw(2) : FAMILY_IPV4;

	*packet = (struct packet){ .family = family };
	strcpy(packet->iif, PICK(interfaces));
	strcpy(packet->oif, PICK(interfaces));
	random_address(&redirect->clients.networks[family], &redirect->clients.except[family],
		       family, packet->saddr);
	random_address(&redirect->servers.networks[family], &redirect->servers.except[family],
		       family, packet->daddr);
	random_service(redirect, packet);
	random_tracking(document, packet);
	packet->mark = PICK(((uint32_t[]){ 0, 0, 0x10, 0x20, 0xff0f, 0xffffffff }));
}

/* --- a naive reading of the document ------------------------------------- */

static bool comes_from(const struct packet *packet, const char *interface)
{
	size_t length = strlen(interface);

	if (interface[length - 1] == '*')
		return !strncmp(packet->iif, interface, length - 1);
	return !strcmp(packet->iif, interface);
}

static bool comes_from_gateway(const struct document *document, const struct packet *packet)
{
	for (size_t i = 0; i < document->gateway_count; i++)
		if (comes_from(packet, document->gateways[i].interface))
			return true;
	return false;
}

static bool comes_spoofed(const struct redirect *redirect, const struct packet *packet)
{
	return redirect->gateway->spoofs_clients &&
	       comes_from(packet, redirect->gateway->interface);
}

static bool comes_from_client(const struct redirect *redirect, const struct packet *packet)
{
	for (size_t i = 0; i < redirect->interface_count; i++)
		if (comes_from(packet, redirect->interfaces[i]))
			return true;
	return comes_spoofed(redirect, packet);
}

static bool is_among(const struct spans *spans, const uint8_t *address)
{
	for (size_t i = 0; i < spans->count; i++)
		if (memcmp(spans->items[i].from, address, SPAN_BYTES) <= 0 &&
		    memcmp(address, spans->items[i].to, SPAN_BYTES) <= 0)
			return true;
	return false;
}

static bool asks_for_service(const struct redirect *redirect, const struct packet *packet)
{
	for (size_t i = 0; i < redirect->service_count; i++) {
		const struct service *service = &redirect->services[i];

		if (packet->protocol == service->protocol && packet->port >= service->from &&
		    packet->port <= service->to)
			return true;
	}
	return false;
}

static bool is_selected(const struct redirect *redirect, const struct packet *packet)
{
	enum family family = packet->family;

	return redirect->enabled && redirect_works_in(redirect, family) &&
	       comes_from_client(redirect, packet) && asks_for_service(redirect, packet) &&
	       (redirect->any_client ||
		is_among(&redirect->clients.networks[family], packet->saddr)) &&
	       !is_among(&redirect->clients.except[family], packet->saddr) &&
	       is_among(&redirect->servers.networks[family], packet->daddr) &&
	       !is_among(&redirect->servers.except[family], packet->daddr);
}

static bool begins_connection(const struct packet *packet)
{
	if (packet->protocol == IPPROTO_TCP)
		return (packet->tcp_flags & 0x17) == 0x02;
	if (packet->protocol == IPPROTO_SCTP)
		return packet->sctp_chunk == 1;
	return !(packet->status & CT_STATUS_CONFIRMED);
}

static bool is_left_alone(const struct redirect *redirect, const struct packet *packet)
{
	switch (redirect->existing) {
	case EXISTING_KEEP:
		return !begins_connection(packet);
	case EXISTING_TRACKED:
		return packet->status & CT_STATUS_CONFIRMED && !packet->direction;
	case EXISTING_REDIRECT:
		break;
	}
	return false;
}

/* What becomes of a packet; compared byte by byte. */
struct trial {
	struct packet packet;
	bool dropped;
	char counted_by[NAME_SIZE]; /* the redirect that counted it; "" for none */
	unsigned counted_times;
};

/* The first redirect that takes the packet marks it. */
static void expect_redirect(const struct document *document, struct trial *trial)
{
	struct packet *packet = &trial->packet;

	for (size_t i = 0; i < document->redirect_count; i++) {
		const struct redirect *redirect = &document->redirects[i];
		const struct mark *mark;

		if (!is_selected(redirect, packet))
			continue;
		if (!packet->tracked && !comes_spoofed(redirect, packet)) {
			trial->dropped = true;
			return;
		}
		if (!packet->tracked || is_left_alone(redirect, packet))
			continue;
		mark = &redirect->gateway->mark;
		packet->connection_mark = (packet->connection_mark & ~mark->mask) | mark->value;
		if (!comes_spoofed(redirect, packet)) {
			strcpy(trial->counted_by, redirect->name);
			trial->counted_times = 1;
		}
		return;
	}
}

static void expect_conversion(const struct document *document, struct packet *packet)
{
	for (size_t i = 0; i < document->gateway_count; i++) {
		const struct mark *mark = &document->gateways[i].mark;

		if (packet->tracked && (packet->connection_mark & mark->mask) == mark->value)
			packet->mark = (packet->mark & ~mark->mask) | mark->value;
	}
}

static void expect_prerouting(const struct document *document, struct trial *trial)
{
	struct packet *packet = &trial->packet;
	uint32_t masks = 0;

	for (size_t i = 0; i < document->gateway_count; i++)
		masks |= document->gateways[i].mark.mask;
	if (comes_from_gateway(document, packet))
		packet->mark &= ~masks;
	/* The first packet: what bears our bits does so by accident. A related one inherited them.
	 */
	if (packet->state == CT_STATE_NEW && !(packet->status & CT_STATUS_CONFIRMED))
		packet->connection_mark &= ~masks;
	if (!packet->tracked || !(packet->connection_mark & masks))
		expect_redirect(document, trial);
	if (!trial->dropped && !comes_from_gateway(document, packet))
		expect_conversion(document, packet);
}

/* The guard: neither from nor to the gateway, and yet marked for it. */
static void expect_forward(const struct document *document, struct trial *trial)
{
	const struct packet *packet = &trial->packet;

	for (size_t i = 0; i < document->gateway_count; i++) {
		const struct gateway *gateway = &document->gateways[i];

		if (gateway->on_loss == ON_LOSS_BLOCK && packet->tracked &&
		    (packet->connection_mark & gateway->mark.mask) == gateway->mark.value &&
		    strcmp(packet->iif, gateway->interface) != 0 &&
		    strcmp(packet->oif, gateway->interface) != 0)
			trial->dropped = true;
	}
}

/* --- the test ------------------------------------------------------------ */

/* Takes it through the rules; what they cannot be asked fails the test. */
static void trial_run(const struct nft_table *table, enum hook hook, struct trial *trial)
{
	struct arena arena = { 0 };
	struct walk walk;

	walk_hook(&arena, table, hook, &trial->packet, &walk);
	if (walk.unknown)
		fail_msg("%s", walk.unknown);
	trial->dropped = walk.dropped;
	for (size_t i = 0; i < walk.step_count; i++) {
		const struct walk_step *step = &walk.steps[i];

		if (step->rule->role != ROLE_TAKE || !step->held)
			continue;
		trial->counted_times++;
		assert_int_equal(sscanf(step->rule->comment, "take %31s", trial->counted_by), 1);
	}
	arena_free(&arena);
}

static void trial_print(const char *which, const struct trial *trial)
{
	print_error("%s: mark 0x%" PRIx32 " connection 0x%" PRIx32
		    " counted by \"%s\" %u times%s\n",
		    which, trial->packet.mark, trial->packet.connection_mark, trial->counted_by,
		    trial->counted_times, trial->dropped ? ", dropped" : "");
}

static void packet_describe(const struct packet *packet)
{
	struct span from = { 0 }, to = { 0 };
	char a[SPAN_TEXT], b[SPAN_TEXT];

	memcpy(from.from, packet->saddr, SPAN_BYTES);
	memcpy(from.to, packet->saddr, SPAN_BYTES);
	memcpy(to.from, packet->daddr, SPAN_BYTES);
	memcpy(to.to, packet->daddr, SPAN_BYTES);
	print_error("%s -> %s, %s -> %s, protocol %u port %u, flags 0x%x chunk %u, "
		    "tracked %d state 0x%x status 0x%x direction %u\n",
		    packet->iif, packet->oif, span_format(&from, packet->family, a),
		    span_format(&to, packet->family, b), packet->protocol, packet->port,
		    packet->tcp_flags, packet->sctp_chunk, packet->tracked, packet->state,
		    packet->status, packet->direction);
}

/* What the test has met, so that it cannot pass for having tried nothing. */
static struct {
	size_t taken, refused, guarded, answered, by_service, by_client, tried;
} met;

static void check_packet(const struct document *document, const struct nft_table *table,
			 const struct packet *packet, const char *text)
{
	struct trial wanted = { .packet = *packet }, seen = wanted;

	expect_prerouting(document, &wanted);
	trial_run(table, HOOK_PREROUTING, &seen);
	met.taken += wanted.counted_times;
	met.refused += wanted.dropped;
	met.answered +=
		!wanted.counted_times && wanted.packet.connection_mark & ~packet->connection_mark;
	if (!wanted.dropped) {
		expect_forward(document, &wanted);
		met.guarded += wanted.dropped;
	}
	if (!seen.dropped)
		trial_run(table, HOOK_FORWARD, &seen);
	if (!memcmp(&wanted, &seen, sizeof(wanted)))
		return;
	fprintf(stderr, "%s\n", text);
	packet_describe(packet);
	trial_print("wanted", &wanted);
	trial_print("seen  ", &seen);
	fail();
}

static void meet_chains(const struct nft_table *table)
{
	for (size_t i = 0; i < table->set_count; i++) {
		met.by_service += !strncmp(table->sets[i].name, "by-service", 10);
		met.by_client += !strncmp(table->sets[i].name, "by-client", 9);
	}
	for (size_t i = 0; i < table->chain_count; i++)
		met.tried += !strncmp(table->chains[i].name, "shared", 6) &&
			     table->chains[i].rule_count > 1;
}

/* The table as a kernel that refuses what is unsound has it after an apply. */
static void check_document(const struct document *document, const char *text)
{
	struct fake *fake = fake_open(0);
	struct scope scope = { .document = document };
	struct apply_options options = { .allow_empty = true };
	struct apply_result result;

	fake_link_add(fake, "gw", "192.0.2.0/24", "2001:db8::/64", NULL);
	fake_link_add(fake, "gwa", "192.0.2.0/24", "2001:db8::/64", NULL);
	fake_link_add(fake, "gwb", "192.0.2.0/24", "2001:db8::/64", NULL);
	apply(&fake->kernel, &scope, &options, &result);
	if (result.exit != EXIT_DONE)
		fprintf(stderr, "%s\n%s\n", text, result.error.message);
	assert_int_equal(result.exit, EXIT_DONE);
	apply_result_free(&result);
	meet_chains(&fake->nft);
	for (int i = 0; i < PACKETS; i++) {
		struct packet packet;

		random_packet(document, &packet);
		check_packet(document, &fake->nft, &packet, text);
	}
	fake_close(fake);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : otherwise;
}

static void test_rules_do_what_the_document_says(void **state)
{
	uint64_t rounds = from_environment("ROUNDS", ROUNDS);

	(void)state;
	seed = from_environment("SEED", 1);
	for (uint64_t i = 0; i < rounds; i++) {
		struct document document;
		char *text = random_document(&document);

		check_document(&document, text);
		document_free(&document);
		free(text);
	}
	assert_true(met.taken > rounds && met.refused > rounds && met.guarded > rounds);
	assert_true(met.answered && met.by_service && met.by_client && met.tried);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules_do_what_the_document_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
