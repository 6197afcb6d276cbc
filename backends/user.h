/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is behind a process, in printable UTF-8: it goes into notes, logs and reports. */
#ifndef BACKENDS_USER_H
#define BACKENDS_USER_H

#include <sys/types.h>

enum { USER_TEXT = 128 };

/* Who logged in, whatever was su'ed to since; else who called sudo; else the user we run as. */
void user_self(char text[USER_TEXT]);

/* Who logged in and started the process; "" when that was nobody, or cannot be told. */
void user_of_process(pid_t pid, char text[USER_TEXT]);

#endif
