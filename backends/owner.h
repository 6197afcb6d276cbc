/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Protecting the table: what a netlink socket creates with NFT_TABLE_F_OWNER
 * nobody can change but through that socket, and with NFT_TABLE_F_PERSIST (Linux
 * 6.9) it outlives it. The watcher holds that socket, and hands a duplicate to
 * whoever asks on /run/detour/COOKIE/owner.sock, 0600. Two use it one after the
 * other, by the lock; a duplicate lasts as long as its user needs it, whatever
 * becomes of the watcher. The service manager keeps duplicates of both sockets
 * for the next process of the service, so that the table is never unprotected
 * in between, and whoever asks meanwhile waits.
 */
#ifndef BACKENDS_OWNER_H
#define BACKENDS_OWNER_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/netlink.h"
#include "reconcile/error.h"

enum { OWNER_TAKEN = 1 };

/*
 * Makes this process the owner of what an earlier one of its service owned, by
 * what the service manager has kept. False when that has kept nothing for us.
 */
bool owner_resume(void);

/* Nothing of that sort is wanted: the service manager lets go of it. */
void owner_forget(void);

/*
 * Makes this process the owner of what it creates from now on. 0; OWNER_TAKEN
 * with error "busy", which says who is it already; or -1 with *error. The lock
 * is held; owner_close() is due on 0.
 */
int owner_open(struct error *error);

/* What is owned stays, unprotected. */
void owner_close(void);

/* To poll; then owner_serve() answers those who have asked. Negative: we are no owner. */
int owner_fd(void);
void owner_serve(void);

/*
 * The socket through which the table is to be changed, NULL when nobody protects
 * it. netlink_close() is due. 0, or -1 with *error: its owner does not answer.
 */
int owner_borrow(struct netlink **out, struct error *error);

/* Whether the socket with that port id is the one that owner_borrow() gives. 0, or -1 likewise. */
int owner_knows(uint32_t portid, bool *is_known, struct error *error);

/* Whether it is this process's. */
bool owner_is_self(uint32_t portid);

#endif
