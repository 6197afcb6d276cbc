/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flood INTERFACE MAC TEMPLATES
 *
 * Sends bursts of small UDP packets out of an interface. Every line "flows
 * packets milliseconds" on standard input asks for one: so many packets to each
 * flow key, until so many keys are used or the time is up. TEMPLATES is a file
 * of lines "saddr daddr dport"; flow n takes template n modulo their number and
 * a source port of its own, and bursts go on where the last one ended.
 *
 * Behind a veth pair the kernel forwards each packet within the call that
 * sends it, so the processor time of this thread is that of the whole path.
 * Each burst prints: packets sent, wall time and processor time in nanoseconds.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <netpacket/packet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 32, PAYLOAD = 18, FIRST_PORT = 1024, PORTS = 64000 };

struct frame {
	size_t size;
	uint8_t bytes[ETH_HLEN + sizeof(struct ip6_hdr) + sizeof(struct udphdr) + PAYLOAD];
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t nanoseconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint16_t ip_checksum(const struct ip *ip)
{
	const uint16_t *word = (const uint16_t *)ip;
	uint32_t sum = 0;

	for (size_t i = 0; i < sizeof(*ip) / 2; i++)
		sum += word[i];
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t) ~(sum + (sum >> 16));
}

/* The template without its source port. A UDP checksum of zero means none, which conntrack takes.
 */
static void frame_build(struct frame *frame, const uint8_t *mac, const char *saddr,
			const char *daddr, unsigned int dport)
{
	struct ether_header *ether = (struct ether_header *)frame->bytes;
	struct udphdr udp = { .uh_dport = htons((uint16_t)dport),
			      .uh_ulen = htons(sizeof(udp) + PAYLOAD) };
	uint8_t *at = frame->bytes + ETH_HLEN;

	memset(frame, 0, sizeof(*frame));
	memcpy(ether->ether_dhost, mac, ETH_ALEN);
	ether->ether_shost[0] = 2;
	if (strchr(daddr, ':')) {
		struct ip6_hdr ip6 = { .ip6_flow = htonl(6u << 28),
				       .ip6_plen = udp.uh_ulen,
				       .ip6_nxt = IPPROTO_UDP,
				       .ip6_hlim = 64 };

		ether->ether_type = htons(ETHERTYPE_IPV6);
		if (inet_pton(AF_INET6, saddr, &ip6.ip6_src) != 1 ||
		    inet_pton(AF_INET6, daddr, &ip6.ip6_dst) != 1)
			die(daddr);
		memcpy(at, &ip6, sizeof(ip6));
		at += sizeof(ip6);
	} else {
		struct ip ip = { .ip_v = 4,
				 .ip_hl = 5,
				 .ip_len = htons(sizeof(ip) + sizeof(udp) + PAYLOAD),
				 .ip_ttl = 64,
				 .ip_p = IPPROTO_UDP };

		ether->ether_type = htons(ETHERTYPE_IP);
		if (inet_pton(AF_INET, saddr, &ip.ip_src) != 1 ||
		    inet_pton(AF_INET, daddr, &ip.ip_dst) != 1)
			die(daddr);
		ip.ip_sum = ip_checksum(&ip);
		memcpy(at, &ip, sizeof(ip));
		at += sizeof(ip);
	}
	memcpy(at, &udp, sizeof(udp));
	frame->size = (size_t)(at - frame->bytes) + sizeof(udp) + PAYLOAD;
}

static void frame_set_port(struct frame *frame, size_t port)
{
	uint16_t value = htons((uint16_t)port);

	memcpy(frame->bytes + frame->size - PAYLOAD - sizeof(struct udphdr), &value, sizeof(value));
}

static struct frame *templates_read(const char *path, const uint8_t *mac, size_t *count)
{
	struct frame *frames = NULL;
	FILE *file = fopen(path, "r");
	char saddr[64], daddr[64];
	unsigned int dport;
	size_t room = 0;

	if (!file)
		die(path);
	for (*count = 0; fscanf(file, "%63s %63s %u", saddr, daddr, &dport) == 3; ++*count) {
		if (*count == room) {
			room = room ? 2 * room : 1024;
			frames = realloc(frames, room * sizeof(*frames));
			if (!frames)
				die("realloc");
		}
		frame_build(&frames[*count], mac, saddr, daddr, dport);
	}
	fclose(file);
	return frames;
}

static int socket_open(const char *interface)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_ifindex = (int)if_nametoindex(interface) };
	int one = 1, fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(interface);
	if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) < 0)
		die("PACKET_QDISC_BYPASS");
	return fd;
}

/* Sends the batch; returns when the kernel has forwarded it. */
static void batch_send(int fd, struct frame *frames, unsigned int size)
{
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec parts[BATCH];

	for (unsigned int i = 0; i < size; i++) {
		parts[i] = (struct iovec){ frames[i].bytes, frames[i].size };
		messages[i].msg_hdr.msg_iov = &parts[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	for (unsigned int done = 0; done < size;) {
		int n = sendmmsg(fd, messages + done, size - done, 0);

		if (n < 0)
			die("sendmmsg");
		done += (unsigned int)n;
	}
}

int main(int argc, char **argv)
{
	struct frame batch[BATCH], *templates;
	size_t count, flows, packets, first = 0;
	uint64_t milliseconds;
	uint8_t mac[ETH_ALEN];
	int fd;

	if (argc != 4 || sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2],
				&mac[3], &mac[4], &mac[5]) != ETH_ALEN) {
		fprintf(stderr, "usage: flood INTERFACE MAC TEMPLATES\n");
		return 64;
	}
	templates = templates_read(argv[3], mac, &count);
	fd = socket_open(argv[1]);
	while (count && scanf("%zu %zu %" SCNu64, &flows, &packets, &milliseconds) == 3) {
		uint64_t wall = nanoseconds(CLOCK_MONOTONIC);
		uint64_t cpu = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
		uint64_t end = wall + milliseconds * 1000000;
		size_t sent = 0;

		while (sent < flows * packets && nanoseconds(CLOCK_MONOTONIC) < end) {
			for (size_t i = 0; i < BATCH; i++) {
				size_t flow = first + (sent + i) / packets;

				batch[i] = templates[flow % count];
				frame_set_port(&batch[i], FIRST_PORT + flow / count % PORTS);
			}
			batch_send(fd, batch, BATCH);
			sent += BATCH;
		}
		first += sent / packets + 1;
		cpu = nanoseconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
		wall = nanoseconds(CLOCK_MONOTONIC) - wall;
		printf("%zu %" PRIu64 " %" PRIu64 "\n", sent, wall, cpu);
		fflush(stdout);
	}
	return 0;
}
