# SPDX-License-Identifier: GPL-2.0-or-later
#
# make          builds build/detour          make demo     shows it at work in a lab of namespaces
# make check    runs every test              make lint     format, clang-tidy, cppcheck
# make install  DESTDIR= PREFIX=/usr/local   make bench    the figures of docs/performance.md

VERSION   := 0.1.0
PREFIX    ?= /usr/local
SYSCONFDIR ?= /etc
BUILD     ?= build
CC        ?= gcc

LIBS      := jansson libmnl libnftnl
WARNINGS  := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
CPPFLAGS  += -I. -D_GNU_SOURCE -DVERSION='"$(VERSION)"'
CFLAGS    ?= -O2 -g
SANITIZE  := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
ALL_CFLAGS = -std=gnu17 $(WARNINGS) $(CFLAGS) $(shell pkg-config --cflags $(LIBS))
LDLIBS    += $(shell pkg-config --libs $(LIBS))

LIB_SRC   := $(wildcard reconcile/*.c backends/*.c)
CMD_SRC   := $(wildcard cmd/*.c)
UNIT_SRC  := $(wildcard tests/unit/test_*.c)
HELP_SRC  := $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c))
ALL_C     := $(LIB_SRC) $(CMD_SRC) $(wildcard tests/*/*.c) $(wildcard reconcile/*.h backends/*.h cmd/*.h tests/*/*.h)

LIB_OBJ   := $(LIB_SRC:%.c=$(BUILD)/%.o)
CMD_OBJ   := $(CMD_SRC:%.c=$(BUILD)/%.o)
UNITS     := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/%)

all: $(BUILD)/detour

$(BUILD)/detour: $(CMD_OBJ) $(LIB_OBJ)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(HELP_SRC:%.c=$(BUILD)/%.o) $(LIB_OBJ)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(shell pkg-config --libs cmocka)

units: $(UNITS)

clean:
	rm -rf $(BUILD)

.PHONY: all units clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
