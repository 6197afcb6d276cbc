/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/pace.h"

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void pace_init(struct pace *pace, int64_t now)
{
	*pace = (struct pace){
		.again = now,
		.looked = now - PACE_GAP_MS,
		.repaired = now - PACE_FORGET_MS,
	};
}

void pace_event(struct pace *pace, int64_t now, enum pace_urgency urgency)
{
	if (!pace->has_events)
		pace->first = now;
	if (!pace->has_events || urgency > pace->urgency)
		pace->urgency = urgency;
	pace->has_events = true;
	pace->last = now;
}

/* When the events that have come call for a look. */
static int64_t events_due(const struct pace *pace)
{
	if (pace->urgency == PACE_SETTLE)
		return earlier(pace->last + PACE_QUIET_MS, pace->first + PACE_LATEST_MS);
	return later(pace->first, pace->looked + PACE_GAP_MS);
}

int64_t pace_due(const struct pace *pace)
{
	int64_t due = pace->again;

	if (pace->has_events)
		due = earlier(due, events_due(pace));
	if (pace->has_events && pace->urgency == PACE_NOW)
		return due;
	return later(due, pace->held_until);
}

static void looked(struct pace *pace, int64_t now)
{
	pace->has_events = false;
	pace->looked = now;
	pace->again = now + PACE_IDLE_MS;
}

void pace_looked(struct pace *pace, int64_t now)
{
	looked(pace, now);
	pace->failed = 0;
}

static int64_t hold(struct pace *pace, int64_t now, unsigned int times)
{
	int64_t pause = PACE_HOLD_MS;

	while (--times && pause < PACE_HOLD_MAX_MS)
		pause *= 2;
	pace->hold = earlier(pause, PACE_HOLD_MAX_MS);
	pace->held_until = now + pace->hold;
	return pace->hold;
}

int64_t pace_repaired(struct pace *pace, int64_t now, bool is_flap)
{
	bool has_held = now - pace->repaired >= pace->hold + PACE_FORGET_MS;

	pace_looked(pace, now);
	if (is_flap)
		return 0;
	pace->repaired = now;
	pace->undone = has_held ? 0 : pace->undone + 1;
	pace->hold = 0;
	return pace->undone < PACE_PATIENCE ? 0 : hold(pace, now, pace->undone - PACE_PATIENCE + 1);
}

int64_t pace_failed(struct pace *pace, int64_t now)
{
	int64_t pause = hold(pace, now, ++pace->failed);

	looked(pace, now);
	pace->again = pace->held_until;
	return pause;
}

void pace_busy(struct pace *pace, int64_t now)
{
	pace->looked = now;
	pace->held_until = pace->again = now + PACE_BUSY_MS;
	if (pace->urgency == PACE_NOW)
		pace->urgency = PACE_SOON;
}
