/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure COMMAND [ARGUMENT]...
 *
 * Runs a command without its output, and prints: nanoseconds from fork to exit,
 * nanoseconds of processor time, peak memory in KiB, exit code. Children of the
 * command that it waited for count. A process of its own, because peak memory
 * begins with that of the process that forked.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t processor_time(const struct rusage *usage)
{
	int64_t seconds = usage->ru_utime.tv_sec + usage->ru_stime.tv_sec;

	return (seconds * 1000000 + usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000;
}

static _Noreturn void command_run(char **command)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(null, STDOUT_FILENO);
	execvp(command[0], command);
	perror(command[0]);
	_exit(127);
}

int main(int argc, char **argv)
{
	/* Nothing else gets the processor meanwhile; without the privilege, figures are noisier. */
	struct sched_param first = { .sched_priority = 1 };
	struct rusage usage;
	int64_t started;
	int status;
	pid_t child;

	if (argc < 2) {
		fprintf(stderr, "usage: measure COMMAND [ARGUMENT]...\n");
		return 64;
	}
	sched_setscheduler(0, SCHED_FIFO, &first);
	started = nanoseconds();
	child = fork();
	if (child == 0)
		command_run(argv + 1);
	if (child < 0 || wait4(child, &status, 0, &usage) != child) {
		perror("measure");
		return 1;
	}
	printf("%" PRId64 " %" PRId64 " %ld %d\n", nanoseconds() - started, processor_time(&usage),
	       usage.ru_maxrss, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}
