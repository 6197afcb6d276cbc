/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CMD_HELP_H
#define CMD_HELP_H

/* The help of a verb; of the program when verb is NULL or unknown. */
void help_print(const char *verb);
void help_version(void);

#endif
