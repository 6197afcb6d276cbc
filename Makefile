# SPDX-License-Identifier: GPL-2.0-or-later
#
# make          builds build/detour          make demo     shows it at work in a lab of namespaces
# make check    runs every test              make lab      a shell on the lab's router
# make bench    figures beside targets       make lint     format, clang-tidy, cppcheck
# make install  DESTDIR= PREFIX=/usr/local   make check-faults  every failing call, every kill: half an hour
# make deb      build/deb/detour_*.deb       make check-package  installs, upgrades, removes and purges it

VERSION   := $(shell awk '/^.. [0-9]/ { print $$2; exit }' CHANGELOG.md)
PREFIX    ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR   ?= $(PREFIX)/lib/systemd/system
ZSHDIR    ?= $(PREFIX)/share/zsh/site-functions
BUILD     ?= build
DEB       := $(BUILD)/deb
CC        ?= gcc

LIBS      := jansson libmd libmnl libnftnl
WARNINGS  := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
CPPFLAGS  += -I. -D_GNU_SOURCE -DVERSION='"$(VERSION)"'
CFLAGS    ?= -O2 -g
SANITIZE  := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
ALL_CFLAGS = -std=gnu17 $(WARNINGS) $(CFLAGS) $(shell pkg-config --cflags $(LIBS))
LDLIBS    += $(shell pkg-config --libs $(LIBS))

FAKE_SRC  := $(wildcard backends/fake*.c)
LIB_SRC   := $(filter-out $(FAKE_SRC),$(wildcard reconcile/*.c backends/*.c))
CMD_SRC   := $(wildcard cmd/*.c)
UNIT_SRC  := $(wildcard tests/unit/test_*.c)
HELP_SRC  := $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c)) $(FAKE_SRC)
ALL_C     := $(LIB_SRC) $(FAKE_SRC) $(CMD_SRC) $(wildcard tests/*/*.c) $(wildcard reconcile/*.h backends/*.h cmd/*.h tests/*/*.h)

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

# --- the commands of the README ----------------------------------------------

demo:
	@tests/setup.sh build demo
	@$(MAKE) --no-print-directory -s all
	@DETOUR=$(CURDIR)/$(BUILD)/detour tests/demo.sh

lab:
	@tests/setup.sh build demo
	@$(MAKE) --no-print-directory -s all
	@DETOUR=$(CURDIR)/$(BUILD)/detour /usr/bin/python3 tests/lab/lab.py shell

check:
	@tests/setup.sh build demo check
	@tests/tools.sh $(BUILD)
	@$(MAKE) --no-print-directory check-units check-valgrind check-lab check-manual

ASAN = $(MAKE) --no-print-directory -s BUILD=$(BUILD)/asan CFLAGS="$(SANITIZE)"

# Units, under the address and undefined-behaviour sanitizers, then under valgrind; two at a time.
UNIT_NAMES := $(UNIT_SRC:tests/unit/%.c=%)

check-units:
	@$(ASAN) -j2 all units
	@printf '%s\n' $(UNIT_NAMES) | xargs -P 2 -I% sh -c \
		'$(BUILD)/asan/tests/% >$(BUILD)/%.log 2>&1 || { cat $(BUILD)/%.log; exit 255; }; \
		echo "%: $$(tail -n 1 $(BUILD)/%.log)"'

check-valgrind:
	@$(MAKE) --no-print-directory -s -j2 all units
	@printf '%s\n' $(UNIT_NAMES) | xargs -P 2 -I% sh -c \
		'valgrind -q --leak-check=full --errors-for-leak-kinds=definite --error-exitcode=99 \
		$(BUILD)/tests/% >$(BUILD)/%.valgrind 2>&1 || { cat $(BUILD)/%.valgrind; exit 255; }'
	@echo "valgrind: $(words $(UNIT_SRC)) unit programs clean"

# Real connections between namespaces, and the corpus of documents. DETOUR is what is tested,
# DETOUR_PLAIN the same without sanitizers, for what cannot be traced with them.
check-lab:
	@$(ASAN) -j2 all
	@$(MAKE) --no-print-directory -s all
	DETOUR=$(CURDIR)/$(BUILD)/asan/detour DETOUR_PLAIN=$(CURDIR)/$(BUILD)/detour \
		/usr/bin/python3 -m pytest -q -n auto --dist loadgroup -p no:cacheprovider tests/lab

# Each system call of a change fails in turn, or is where its process is killed; check-lab tries some.
check-faults:
	@tests/setup.sh build demo check
	@$(MAKE) --no-print-directory -s all
	DETOUR_FAULTS=all DETOUR=$(CURDIR)/$(BUILD)/detour DETOUR_PLAIN=$(CURDIR)/$(BUILD)/detour \
		/usr/bin/python3 -m pytest -q -n auto -p no:cacheprovider tests/lab/test_faults.py tests/lab/test_race.py

check-manual:
	@for page in docs/man/*; do mandoc -T lint -W warning $$page || exit 1; done

# Installs, upgrades, removes and purges the package in a minimal Debian, in a chroot.
check-package: deb
	@tests/setup.sh demo check package
	@tests/package/root.sh $(CURDIR)/$(BUILD)/package-root $(DEB)/detour_$(VERSION)_*.deb
	PACKAGE=$$(echo $(CURDIR)/$(DEB)/detour_$(VERSION)_*.deb) PACKAGE_ROOT=$(CURDIR)/$(BUILD)/package-root \
		/usr/bin/python3 -m pytest -q -n auto -p no:cacheprovider tests/package

# --- figures -------------------------------------------------------------------

BENCH_TOOLS := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))

# bare has to load what detour loads, whether it calls it or not.
$(BUILD)/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -o $@ $< -Wl,--no-as-needed $(LDLIBS)

bench-tools: $(BENCH_TOOLS)

# BENCH="drift apply" measures these rows only.
bench:
	@tests/setup.sh build demo bench
	@$(MAKE) --no-print-directory -s all bench-tools
	@DETOUR=$(CURDIR)/$(BUILD)/detour /usr/bin/python3 tests/bench/bench.py $(BENCH)

bench-plot:
	@tests/setup.sh build demo bench
	@$(MAKE) --no-print-directory -s all bench-tools
	@DETOUR=$(CURDIR)/$(BUILD)/detour /usr/bin/python3 tests/bench/plot.py docs/performance.svg

# --- the rest ------------------------------------------------------------------

lint:
	@tests/setup.sh build check lint
	clang-format --dry-run -Werror $(ALL_C)
	cppcheck -q --std=c11 --enable=warning,performance,portability --inline-suppr \
		--error-exitcode=1 --suppress=missingInclude --suppress=ctuuninitvar -I. $(LIB_SRC) $(CMD_SRC)
	for file in $(LIB_SRC) $(CMD_SRC); do \
		clang-tidy --quiet $$file -- -std=gnu17 $(CPPFLAGS) 2>/dev/null || exit 1; done
	tests/sanity.sh

format:
	clang-format -i $(ALL_C)

install: all
	install -D -m 0755 $(BUILD)/detour $(DESTDIR)$(PREFIX)/sbin/detour
	install -D -m 0644 docs/man/detour.8 $(DESTDIR)$(PREFIX)/share/man/man8/detour.8
	install -D -m 0644 docs/man/detour.json.5 $(DESTDIR)$(PREFIX)/share/man/man5/detour.json.5
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/detour/schemas schemas/*.json
	install -D -m 0644 completions/detour.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/detour
	install -D -m 0644 completions/_detour $(DESTDIR)$(ZSHDIR)/_detour
	install -D -m 0644 schemas/rt_protos.conf $(DESTDIR)$(SYSCONFDIR)/iproute2/rt_protos.d/detour.conf
	install -D -m 0644 -t $(DESTDIR)$(UNITDIR) systemd/*
	sed -i 's|/usr/sbin/detour|$(PREFIX)/sbin/detour|' $(DESTDIR)$(UNITDIR)/detour*.service

# Built aside, so that neither the sources nor what stands beside them change.
DEB_TREE  := $(DEB)/detour-$(VERSION)
DEB_SRC   := CHANGELOG.md LICENSE Makefile README.md backends cmd completions debian docs examples reconcile schemas systemd

deb:
	@tests/setup.sh build deb
	rm -rf $(DEB)
	mkdir -p $(DEB_TREE)
	cp -a $(DEB_SRC) $(DEB_TREE)
	debian/changelog.sh >$(DEB_TREE)/debian/changelog
	cd $(DEB_TREE) && MAKEFLAGS= BUILD=build dpkg-buildpackage -us -uc -b
	rm -rf $(DEB_TREE)

clean:
	rm -rf $(BUILD)

.PHONY: all units demo lab check check-units check-valgrind check-lab check-faults check-manual check-package bench bench-plot bench-tools lint format install deb clean
.SECONDARY:
-include $(patsubst %.c,$(BUILD)/%.d,$(filter %.c,$(ALL_C)))
