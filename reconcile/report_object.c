/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Objects as JSON. Keys and values are those of `ip -j` and `nft -j` (see
 * libnftables-json(5)) where these have one, so that scripts need one parser.
 */
#include <arpa/inet.h>
#include <string.h>

#include "reconcile/report.h"

json_t *text_json(const char *text)
{
	json_t *json = json_string(text);
	struct arena arena = { 0 };

	if (json)
		return json;
	json = json_string(arena_printable(&arena, text));
	arena_free(&arena);
	return json;
}

static void set_text(json_t *object, const char *key, const char *text)
{
	json_object_set_new(object, key, text_json(text));
}

static void set_number(json_t *object, const char *key, json_int_t number)
{
	json_object_set_new(object, key, json_integer(number));
}

static void set_hex(json_t *object, const char *key, uint32_t number)
{
	json_object_set_new(object, key, json_sprintf("0x%x", number));
}

static json_t *rt_table_json(const struct rt_table *table)
{
	json_t *object = json_object();

	set_number(object, "table", table->id);
	set_text(object, "name", table->name);
	return object;
}

static json_t *rp_filter_json(const struct rp_filter *filter)
{
	json_t *object = json_object();

	set_text(object, "interface", filter->interface);
	set_number(object, "rp_filter", filter->value);
	return object;
}

static json_t *route_json(const struct route *route)
{
	json_t *object = json_object();
	char text[SPAN_TEXT] = "default";

	if (!route->is_default)
		span_format(&route->dst, route->family, text);
	set_text(object, "dst", text);
	if (route->has_gateway) {
		inet_ntop(route->family == FAMILY_IPV4 ? AF_INET : AF_INET6, route->gateway, text,
			  sizeof(text));
		set_text(object, "gateway", text);
	}
	if (*route->dev)
		set_text(object, "dev", route->dev);
	set_number(object, "table", route->table);
	set_number(object, "protocol", route->protocol);
	if (route->metric)
		set_number(object, "metric", route->metric);
	return object;
}

static json_t *rule_json(const struct rule *rule)
{
	json_t *object = json_object();

	set_number(object, "priority", rule->priority);
	set_text(object, "src", "all");
	if (rule->mark.mask) {
		set_hex(object, "fwmark", rule->mark.value);
		if (rule->mark.mask != UINT32_MAX)
			set_hex(object, "fwmask", rule->mark.mask);
	}
	if (rule->action == RULE_LOOKUP)
		set_number(object, "table", rule->table);
	else
		set_text(object, "action",
			 rule->action == RULE_UNREACHABLE ? "unreachable" : "other");
	set_number(object, "protocol", rule->protocol);
	set_text(object, "family", family_name(rule->family));
	return object;
}

/* --- nft ----------------------------------------------------------------- */

static json_t *nft_json(const char *key, const char *name)
{
	json_t *object = json_object();

	set_text(object, "family", "inet");
	set_text(object, "table", NFT_TABLE);
	set_text(object, key, name);
	return object;
}

static json_t *chain_json(const struct nft_chain *chain)
{
	static const char *const hooks[] = { NULL, "prerouting", "forward", "other" };
	json_t *object = nft_json("name", chain->name);

	if (chain->hook == HOOK_NONE)
		return object;
	set_text(object, "type", chain->is_filter ? "filter" : "other");
	set_text(object, "hook", hooks[chain->hook]);
	set_number(object, "prio", chain->priority);
	set_text(object, "policy", chain->drops ? "drop" : "accept");
	return object;
}

static json_t *set_json(const struct nft_set *set)
{
	static const char *const types[] = {
		[KEY_IPV4] = "ipv4_addr",
		[KEY_IPV6] = "ipv6_addr",
		[KEY_IFNAME] = "ifname",
		[KEY_OTHER] = "other",
	};
	json_t *object = nft_json("name", set->name);

	if (set->key == KEY_SERVICE)
		json_object_set_new(object, "type",
				    json_pack("[ss]", "inet_service", "inet_proto"));
	else
		set_text(object, "type", types[set->key]);
	if (set->is_map)
		set_text(object, "map", "verdict");
	json_object_set_new(object, "flags", json_pack("[s]", "interval"));
	return object;
}

static json_t *elements_json(const struct step *step, const struct element *elements, size_t limit)
{
	json_t *object = nft_json("name", step->container);
	json_t *list = json_array();
	struct arena arena = { 0 };

	for (size_t i = 0; i < step->count && i < limit; i++)
		json_array_append_new(
			list, text_json(element_format(&arena, step->set->key, &elements[i])));
	json_object_set_new(object, "elem", list);
	arena_free(&arena);
	return object;
}

static json_t *meta_json(const char *type, const char *key)
{
	return json_pack("{s:{s:s}}", type, "key", key);
}

static json_t *payload_json(const char *protocol, const char *field)
{
	return json_pack("{s:{s:s,s:s}}", "payload", "protocol", protocol, "field", field);
}

static json_t *field_json(enum field field)
{
	switch (field) {
	case FIELD_NFPROTO:
		return meta_json("meta", "nfproto");
	case FIELD_L4PROTO:
		return meta_json("meta", "l4proto");
	case FIELD_IIFNAME:
		return meta_json("meta", "iifname");
	case FIELD_OIFNAME:
		return meta_json("meta", "oifname");
	case FIELD_META_MARK:
		return meta_json("meta", "mark");
	case FIELD_CT_STATE:
		return meta_json("ct", "state");
	case FIELD_CT_STATUS:
		return meta_json("ct", "status");
	case FIELD_CT_DIRECTION:
		return meta_json("ct", "direction");
	case FIELD_CT_MARK:
		return meta_json("ct", "mark");
	case FIELD_IP_SADDR:
		return payload_json("ip", "saddr");
	case FIELD_IP_DADDR:
		return payload_json("ip", "daddr");
	case FIELD_IP6_SADDR:
		return payload_json("ip6", "saddr");
	case FIELD_IP6_DADDR:
		return payload_json("ip6", "daddr");
	case FIELD_TCP_FLAGS:
		return payload_json("tcp", "flags");
	case FIELD_SCTP_CHUNK:
		return json_pack("{s:{s:s,s:i,s:i}}", "payload", "base", "th", "offset", 96, "len",
				 8);
	case FIELD_SERVICE:
		return json_pack("{s:[o,o]}", "concat", payload_json("th", "dport"),
				 meta_json("meta", "l4proto"));
	case FIELD_COUNT:
		break;
	}
	return json_null();
}

static json_t *value_json(const struct stmt *stmt)
{
	switch (field_bytes(stmt->field)) {
	case 4:
		return json_integer(stmt->number);
	case SPAN_BYTES:
		return text_json((const char *)stmt->bytes);
	default:
		return json_integer(stmt->bytes[0]);
	}
}

static json_t *match_json(const struct stmt *stmt)
{
	json_t *left = field_json(stmt->field);

	if (stmt->mask)
		left = json_pack("{s:[o,I]}", "&", left, (json_int_t)stmt->mask);
	return json_pack("{s:{s:s,s:o,s:o}}", "match", "op", stmt->negate ? "!=" : "==", "left",
			 left, "right", value_json(stmt));
}

static json_t *lookup_json(const struct stmt *stmt)
{
	json_t *set = json_sprintf("@%s", stmt->name);

	if (stmt->type == STMT_VMAP)
		return json_pack("{s:{s:o,s:o}}", "vmap", "key", field_json(stmt->field), "data",
				 set);
	return json_pack("{s:{s:s,s:o,s:o}}", "match", "op", stmt->negate ? "!=" : "==", "left",
			 field_json(stmt->field), "right", set);
}

static json_t *mark_json(const struct stmt *stmt)
{
	json_t *kept = json_pack("{s:[o,I]}", "&", field_json(stmt->field),
				 (json_int_t)(uint32_t)~stmt->mask);

	return json_pack("{s:{s:o,s:{s:[o,I]}}}", "mangle", "key", field_json(stmt->field), "value",
			 "|", kept, (json_int_t)stmt->number);
}

static json_t *verdict_json(const struct stmt *stmt)
{
	static const char *const words[] = { "accept", "drop", "return", "jump", "goto" };

	if (stmt->verdict == VERDICT_JUMP || stmt->verdict == VERDICT_GOTO)
		return json_pack("{s:{s:s}}", words[stmt->verdict], "target", stmt->name);
	return json_pack("{s:n}", words[stmt->verdict]);
}

static json_t *stmt_json(const struct stmt *stmt)
{
	switch (stmt->type) {
	case STMT_MATCH:
		return match_json(stmt);
	case STMT_LOOKUP:
	case STMT_VMAP:
		return lookup_json(stmt);
	case STMT_MARK:
		return mark_json(stmt);
	case STMT_COUNTER:
		/* Without its values, which no step is about: a saved plan would age by the packet.
		 */
		return json_pack("{s:n}", "counter");
	case STMT_VERDICT:
		return verdict_json(stmt);
	case STMT_OTHER:
		break;
	}
	return json_pack("{s:s}", "xt", stmt->name);
}

static json_t *nft_rule_json(const struct step *step, const struct nft_rule *rule)
{
	json_t *object = nft_json("chain", step->container);
	json_t *expr = json_array();

	if (*rule->comment)
		set_text(object, "comment", rule->comment);
	for (size_t i = 0; i < rule->stmt_count; i++)
		json_array_append_new(expr, stmt_json(&rule->stmts[i]));
	json_object_set_new(object, "expr", expr);
	return object;
}

static json_t *hand_rule_json(const struct hand_rule *rule)
{
	json_t *object = json_object();

	set_text(object, "family", rule->family);
	set_text(object, "table", rule->table);
	set_text(object, "chain", rule->chain);
	set_number(object, "handle", (json_int_t)rule->handle);
	if (rule->words)
		set_text(object, "text", rule->words);
	return object;
}

json_t *object_json(const struct step *step, const void *object, size_t limit)
{
	if (!object)
		return json_null();
	switch (step->kind) {
	case KIND_RT_TABLE:
		return rt_table_json(object);
	case KIND_RP_FILTER:
		return rp_filter_json(object);
	case KIND_ROUTE:
		return route_json(object);
	case KIND_RULE:
		return rule_json(object);
	case KIND_NFT_CHAIN:
		return chain_json(object);
	case KIND_NFT_SET:
		return set_json(object);
	case KIND_NFT_ELEMENT:
		return elements_json(step, object, limit);
	case KIND_NFT_RULE:
		return nft_rule_json(step, object);
	case KIND_HAND_RULE:
		return hand_rule_json(object);
	case KIND_NFT_TABLE:
	case KIND_COUNT:
		break;
	}
	return json_null();
}
