/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/file.h"
#include "backends/paths.h"

#define GUARD_NAME "detour-guard" /* at most 15 characters */

/* What it waits for. The order is that in which poll() looks. */
enum { WAIT_TIMER, WAIT_REMOVAL, WAIT_SIGNAL, WAIT_COUNT };

struct guard {
	struct pollfd waits[WAIT_COUNT];
	int64_t (*act)(void *context, bool is_asked);
	void *context;
};

/* --- in the guard's process ---------------------------------------------- */

/* The terminal, the lock, our netlink sockets: none of it may be held for as long as we wait. */
static void let_go(int ready)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	if (ready > 3)
		close_range(3, (unsigned int)ready - 1, 0);
	close_range((unsigned int)ready + 1, ~0U, 0);
	if (chdir("/") < 0)
		return; /* Then we keep a directory busy; worth no more than that. */
}

static void signals_settle(void)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGPIPE };
	sigset_t term;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_SETMASK, &term, NULL);
}

static void timer_set(int fd, int64_t deadline)
{
	struct itimerspec when = { .it_value = { .tv_sec = deadline / 1000,
						 .tv_nsec = deadline % 1000 * 1000000 } };

	timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static int journal_watch(void)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	struct error ignored;
	char path[PATHS_MAX];

	if (fd < 0 || paths_run(path, &ignored) ||
	    inotify_add_watch(fd, path, IN_DELETE | IN_ONLYDIR) < 0)
		return -1;
	return fd;
}

static int term_watch(void)
{
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	return signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool guard_open(struct guard *guard, int64_t deadline)
{
	const int fds[WAIT_COUNT] = {
		[WAIT_TIMER] = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK),
		[WAIT_REMOVAL] = journal_watch(),
		[WAIT_SIGNAL] = term_watch(),
	};

	for (int i = 0; i < WAIT_COUNT; i++) {
		if (fds[i] < 0)
			return false;
		guard->waits[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	}
	timer_set(fds[WAIT_TIMER], deadline);
	return true;
}

/* Whether one of the events that have arrived is the end of the journal. */
static bool journal_is_gone(int fd)
{
	union {
		struct inotify_event event;
		char bytes[4096];
	} buffer;
	ssize_t size;

	while ((size = read(fd, buffer.bytes, sizeof(buffer.bytes))) > 0)
		for (char *at = buffer.bytes; at < buffer.bytes + size;) {
			const struct inotify_event *event = (const struct inotify_event *)at;

			if (event->mask & IN_IGNORED ||
			    (event->len && !strcmp(event->name, "journal.json")))
				return true;
			at += sizeof(*event) + event->len;
		}
	return false;
}

static void guard_run(struct guard *guard)
{
	const struct pollfd *waits = guard->waits;
	struct signalfd_siginfo term;
	uint64_t expirations;
	int64_t next;

	do {
		bool is_asked = false, is_due = false;

		while (!is_due && !is_asked) {
			poll(guard->waits, WAIT_COUNT, -1);
			if (journal_is_gone(waits[WAIT_REMOVAL].fd))
				return;
			is_due = read(waits[WAIT_TIMER].fd, &expirations, sizeof(expirations)) > 0;
			is_asked = read(waits[WAIT_SIGNAL].fd, &term, sizeof(term)) > 0;
		}
		next = guard->act(guard->context, is_asked);
		timer_set(waits[WAIT_TIMER].fd, next);
	} while (next);
}

static void guard_main(struct guard *guard, int64_t deadline, int ready)
{
	pid_t self = getpid();

	prctl(PR_SET_NAME, GUARD_NAME);
	signals_settle();
	/* Above those that are about to become /dev/null, should we have been started without them.
	 */
	ready = fcntl(ready, F_DUPFD_CLOEXEC, 3);
	let_go(ready);
	if (!guard_open(guard, deadline) || write(ready, &self, sizeof(self)) != sizeof(self))
		return;
	close(ready);
	guard_run(guard);
}

/* --- in the process that arms it ----------------------------------------- */

/* A child of a child, in a session of its own: nobody waits for it, and no terminal reaches it. */
static void detach(struct guard *guard, int64_t deadline, int ready)
{
	if (setsid() < 0 || fork() != 0)
		_exit(0);
	guard_main(guard, deadline, ready);
	_exit(0);
}

/* A pid when it stands guard, else 0: the end of the pipe without a word. */
static pid_t ready_wait(int fd)
{
	pid_t pid = 0;
	ssize_t got;

	do
		got = read(fd, &pid, sizeof(pid));
	while (got < 0 && errno == EINTR);
	return got == sizeof(pid) ? pid : 0;
}

static pid_t guard_start(struct guard *guard, int64_t deadline, const int pipe_fds[2])
{
	pid_t child = fork();

	if (child == 0)
		detach(guard, deadline, pipe_fds[1]);
	close(pipe_fds[1]);
	if (child < 0)
		return 0;
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return ready_wait(pipe_fds[0]);
}

int guard_arm(int64_t deadline, int64_t (*act)(void *context, bool is_asked), void *context,
	      pid_t *pid, struct error *error)
{
	struct guard guard = { .act = act, .context = context };
	int pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return error_set(error, "no-guard", "the guard of --confirm cannot be started: %s",
				 strerror(errno));
	*pid = guard_start(&guard, deadline, pipe_fds);
	close(pipe_fds[0]);
	if (!*pid)
		return error_set(error, "no-guard",
				 "the guard of --confirm cannot be started: is the machine out of "
				 "processes, memory, or inotify watches?");
	return 0;
}

bool guard_lives(pid_t pid)
{
	char path[64], line[256], state;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	/* A dead one may stay visible until its parent, whoever that is, looks after it. */
	return file_peek(path, line, sizeof(line)) > 0 &&
	       sscanf(line, "%*d (" GUARD_NAME ") %c", &state) == 1 && state != 'Z' && state != 'X';
}
