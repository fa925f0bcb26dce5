# GNU make. `make` builds, `make check` tests, `make demo` shows; see README.md.

O       ?= .
BUILD   := $(O)/build
CC      ?= cc
CFLAGS  ?= -O2 -g
WERROR  ?= -Werror

# In capitals, or in small letters as GNU writes them.
PREFIX     ?= $(or $(prefix),/usr/local)
SBINDIR    ?= $(or $(sbindir),$(PREFIX)/sbin)
BINDIR     ?= $(or $(bindir),$(PREFIX)/bin)
LIBEXECDIR ?= $(or $(libexecdir),$(PREFIX)/libexec)/smailer
SYSCONFDIR ?= $(or $(sysconfdir),/etc)
CONFDIR    ?= $(SYSCONFDIR)/smailer
MANDIR     ?= $(or $(mandir),$(PREFIX)/share/man)
UNITDIR    ?= $(PREFIX)/lib/systemd/system

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wwrite-strings -Wvla $(WERROR)
HARDEN   := -fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection -D_FORTIFY_SOURCE=2
LDHARDEN := -pie -Wl,-z,relro,-z,now,-z,noexecstack
SANITIZE ?=

# V=1 shows the commands.
V ?= 0
ifeq ($(V),0)
MAKEFLAGS += --no-print-directory
SHOW   = @echo '  $(1) $(patsubst $(O)/%,%,$@)';
else
SHOW   =
endif

override CPPFLAGS += -I. -I$(BUILD) -D_GNU_SOURCE -DCONFDIR='"$(CONFDIR)"' -DLIBEXECDIR='"$(LIBEXECDIR)"'
ALL_CFLAGS = -std=c17 $(CFLAGS) $(WARNINGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer,$(HARDEN))
ALL_LDFLAGS = $(LDFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE),$(LDHARDEN))

# A folder a program; what each links beside lib/ is said here and nowhere else.
PROGRAMS      := master pickup cleanup qmgr smtp control sql token cli
PKGS_lib      := libbsd libmd libevent_core libseccomp
PKGS_master   := libconfuse
PKGS_cleanup  := libxml-2.0 libidn2
PKGS_smtp     := libcurl openssl
PKGS_cli      := jansson
PKGS_sql      := libpq
PKGS_token    := jansson
PKGS_control  := jansson
NEEDS_pickup  := queue
NEEDS_cleanup := queue
NEEDS_cli     := queue
NEEDS_qmgr    := queue
NEEDS_sql     := pickup queue

TARGET_master := $(O)/bin/smailer-master
TARGET_cli    := $(O)/bin/smailer
$(foreach p,pickup cleanup qmgr smtp control sql token,$(eval TARGET_$(p) := $(O)/libexec/smailer-$(p)))

FOLDERS   := lib queue $(PROGRAMS)
$(foreach f,$(FOLDERS),$(eval SOURCES_$(f) := $(wildcard $(f)/*.c)))
$(foreach f,$(FOLDERS),$(eval OBJECTS_$(f) := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(f)/main.c,$(SOURCES_$(f))))))
BUILT_PROGRAMS := $(foreach p,$(PROGRAMS),$(if $(wildcard $(p)/main.c),$(TARGET_$(p))))

# sendmail and mailq are the same program, by their names.
LINKS_cli := $(O)/bin/sendmail $(O)/bin/mailq

.DEFAULT_GOAL := all
$(LINKS_cli): $(TARGET_cli)
	$(call SHOW,LN)ln -sf smailer $@

.PHONY: all clean unit unit-programs clock-programs hooked-programs hostile check crash demo bench soak asan fuzz fuzzers fuzz-programs tidy format users install
all: $(BUILT_PROGRAMS) $(LINKS_cli)

pkg-cflags = $(if $(1),$(shell pkg-config --cflags $(1)))
pkg-libs   = $(if $(1),$(shell pkg-config --libs $(1)))

# An archive a folder, so that a program and the unit tests take from it what they use.
define folder_rules
$(BUILD)/$(1).a: $$(OBJECTS_$(1))
	@rm -f $$@
	$$(call SHOW,AR)ar rcs $$@ $$^
$(BUILD)/$(1)/%.o: $(1)/%.c
	@mkdir -p $$(@D)
	$$(call SHOW,CC)$$(CC) $$(CPPFLAGS) $$(ALL_CFLAGS) $$(PKG_CFLAGS_$(1)) -MMD -MP -c -o $$@ $$<
endef
# Asked for when first needed: `make check` begins on machines that have no pkg-config yet.
$(foreach f,$(FOLDERS),$(eval PKG_CFLAGS_$(f) = $$(eval PKG_CFLAGS_$(f) := $$(call pkg-cflags,$(PKGS_lib) $(PKGS_$(f))))$$(PKG_CFLAGS_$(f))))
$(foreach f,$(FOLDERS),$(eval $(call folder_rules,$(f))))

# What has these directories in it is compiled anew where `make install` names others than `make` did.
$(BUILD)/directories: FORCE
	@mkdir -p $(@D)
	@echo '$(CONFDIR) $(LIBEXECDIR)' | cmp -s - $@ || echo '$(CONFDIR) $(LIBEXECDIR)' >$@
FORCE:
$(patsubst %.c,$(BUILD)/%.o,$(shell grep -lE 'CONFDIR|LIBEXECDIR' $(wildcard $(FOLDERS:%=%/*.c)))): $(BUILD)/directories

define program_rules
$(TARGET_$(1)): $(BUILD)/$(1)/main.o $(BUILD)/$(1).a $(foreach n,$(NEEDS_$(1)),$(BUILD)/$(n).a) $(BUILD)/lib.a
	@mkdir -p $$(@D)
	$$(call SHOW,LD)$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$^ -Wl,--as-needed $$(call pkg-libs,$(PKGS_lib) $(PKGS_$(1))) -lpthread
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rules,$(p))))

# Unit tests: tests/unit/FOLDER_NAME.c tests FOLDER/, and links what FOLDER's program does.
UNIT_SOURCES := $(wildcard tests/unit/*.c)
UNIT_TESTS   := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(UNIT_SOURCES))
unit-folder   = $(firstword $(subst _, ,$(notdir $(1))))
.SECONDEXPANSION:
$(BUILD)/tests/unit/%: tests/unit/%.c $(BUILD)/lib.a $$(if $$(filter-out lib,$$(call unit-folder,$$*)),$(BUILD)/$$(call unit-folder,$$*).a) $(BUILD)/queue.a
	@mkdir -p $(@D)
	$(call SHOW,TEST)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(call pkg-cflags,cmocka $(PKGS_lib) $(PKGS_$(call unit-folder,$*))) $(ALL_LDFLAGS) -MMD -MP -o $@ $< \
	  $(if $(filter-out lib queue,$(call unit-folder,$*)),$(BUILD)/$(call unit-folder,$*).a) $(BUILD)/queue.a $(BUILD)/lib.a \
	  $(call pkg-libs,cmocka $(PKGS_lib) $(PKGS_$(call unit-folder,$*))) -lpthread
unit-programs: $(UNIT_TESTS)
unit: $(UNIT_TESTS)
	@for test in $^; do $$test || exit 1; done

# Programs with a fault, for tests/test_poison.py: tests/hooks/PROGRAM.c stands before what it wraps.
HOOKED := $(BUILD)/tests/hooked
WRAPPED_cleanup := judge_file judge_job
WRAPPED_smtp    := content_begin
HOOKED_PROGRAMS := $(foreach p,cleanup smtp,$(HOOKED)/libexec/smailer-$(p))
define hooked_rules
$(HOOKED)/libexec/smailer-$(1): tests/hooks/$(1).c $(BUILD)/$(1)/main.o $(BUILD)/$(1).a $(foreach n,$(NEEDS_$(1)),$(BUILD)/$(n).a) $(BUILD)/lib.a
	@mkdir -p $$(@D)
	$$(call SHOW,HOOK)$$(CC) $$(CPPFLAGS) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) $(WRAPPED_$(1):%=-Wl,--wrap=%) -o $$@ $$^ \
	  -Wl,--as-needed $$(call pkg-libs,$(PKGS_lib) $(PKGS_$(1))) -lpthread
endef
$(foreach p,cleanup smtp,$(eval $(call hooked_rules,$(p))))
hooked-programs: $(HOOKED_PROGRAMS) $(BUILT_PROGRAMS)
	@mkdir -p $(HOOKED)/bin
	@cp -u $(O)/bin/* $(HOOKED)/bin/
	@cp -u $(filter-out $(HOOKED_PROGRAMS:$(HOOKED)/%=$(O)/%),$(wildcard $(O)/libexec/*)) $(HOOKED)/libexec/

# Both begin on a machine that has git, make and a network; DEPS=no installs nothing.
PARALLEL = $(MAKE) --no-print-directory -j$(shell nproc)
check:
	@tests/install-dependencies all
	@$(PARALLEL) all unit-programs clock-programs
	@$(PARALLEL) hooked-programs
	@tests/run --build $(O)
demo:
	@tests/install-dependencies demo
	@$(PARALLEL) all
	@SMAILER_BUILD=$(O) tests/demo

# Beside Postfix, as root; BENCH_RUNS=1 is quick, BENCH_BACKLOG=1000000 large, see tests/bench/run.
bench:
	@tests/install-dependencies all
	@$(PARALLEL) all
	@tests/bench/run --build $(O)

# The programs once more, with a clock that tests/crash/ can move.
define clock_rules
$(BUILD)/clock/$(2): $(BUILD)/tests/crash/clock.o $(TARGET_$(1))
	@mkdir -p $$(@D)
	$$(call SHOW,LD)$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$< $(BUILD)/$(1)/main.o $(BUILD)/$(1).a \
	  $(foreach n,$(NEEDS_$(1)),$(BUILD)/$(n).a) $(BUILD)/lib.a -Wl,--as-needed $$(call pkg-libs,$(PKGS_lib) $(PKGS_$(1))) -lpthread
clock-programs: $(BUILD)/clock/$(2)
endef
$(foreach p,$(filter-out cli,$(PROGRAMS)),$(eval $(call clock_rules,$(p),$(patsubst $(O)/%,%,$(TARGET_$(p))))))
$(BUILD)/tests/crash/clock.o: tests/crash/clock.c
	@mkdir -p $(@D)
	$(call SHOW,CC)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

# Everything dies, fails, fills up, and every mail is counted: CRASH=quick is the part that check runs,
# CRASH_ARGUMENTS='--only WORDS --seed N' repeats one scenario. As root, for file systems are mounted.
CRASH ?= full
crash:
	@tests/install-dependencies all
	@$(PARALLEL) all clock-programs
	@tests/crash/run --build $(O) $(CRASH_ARGUMENTS) $(CRASH)

# Ten minutes of load and kills, as root, and whether anything grows.
SOAK_SECONDS ?= 600
soak:
	@tests/install-dependencies all
	@$(PARALLEL) all
	@tests/soak/run --build $(O) --seconds $(SOAK_SECONDS)

# The unit tests and the main flows again. What sanitizers put into the code makes gcc warn of what is
# not there; seccomp knows nothing of what they need.
asan:
	@$(PARALLEL) O=$(BUILD)/asan SANITIZE=address,undefined CFLAGS='-O1 -g' WERROR= all unit-programs
	@SMAILER_SANITIZE=yes SMAILER_PATIENCE=3 tests/run --build $(BUILD)/asan --main-flows

# tests/fuzz/FOLDER_NAME.c is fed to what it tests in FOLDER/, for FUZZ_SECONDS each, two at a time.
# They have a build of their own, for the compiler puts counters into what they test.
FUZZ_SECONDS ?= 60
FUZZ_SEED ?= 0
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/*_*.c))
$(BUILD)/fuzz/%: tests/fuzz/%.c $(BUILD)/lib.a $$(if $$(filter-out lib,$$(call unit-folder,$$*)),$(BUILD)/$$(call unit-folder,$$*).a) $(BUILD)/queue.a
	@mkdir -p $(@D)
	$(call SHOW,FUZZ)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(call pkg-cflags,$(PKGS_lib) $(PKGS_$(call unit-folder,$*))) -fsanitize=fuzzer -MMD -MP -o $@ $< \
	  $(if $(filter-out lib queue,$(call unit-folder,$*)),$(BUILD)/$(call unit-folder,$*).a) $(BUILD)/queue.a $(BUILD)/lib.a \
	  $(call pkg-libs,$(PKGS_lib) $(PKGS_$(call unit-folder,$*))) -lpthread
fuzzers: $(FUZZERS)
fuzz-programs:
	@$(PARALLEL) O=$(BUILD)/fuzz CC=clang SANITIZE=fuzzer-no-link,address,undefined CFLAGS='-O1 -g' fuzzers
fuzz:
	@tests/install-dependencies all
	@$(MAKE) fuzz-programs
	@tests/fuzz/run --build $(BUILD)/fuzz --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED)

# Queues of HOSTILE files each, with a seed that is another one every time.
HOSTILE ?= 3000
hostile:
	@tests/install-dependencies all
	@$(PARALLEL) all
	@SMAILER_HOSTILE=$(HOSTILE) SMAILER_SEED=$${SMAILER_SEED:-$$(date +%s)} tests/run --build $(O) --no-unit -rP tests/test_hostile.py

C_FILES = $(wildcard $(FOLDERS:%=%/*.[ch]) tests/unit/*.[ch] tests/fuzz/*.[ch] tests/crash/*.c tests/hooks/*.c)
format:
	clang-format -i $(C_FILES)
tidy:
	cppcheck --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 --quiet -j $(shell nproc) \
	  -D_GNU_SOURCE -I. --include=/usr/include/$(shell $(CC) -print-multiarch)/sys/queue.h $(FOLDERS)
	@mkdir -p $(BUILD)
	printf '%s\n' $(foreach f,$(FOLDERS),$(SOURCES_$(f))) | xargs -P $(shell nproc) -I{} clang-tidy --quiet {} -- \
	  -std=c17 $(CPPFLAGS) $(sort $(foreach f,$(FOLDERS),$(PKG_CFLAGS_$(f)))) 2>$(BUILD)/tidy.log || \
	  { grep -v ' generated\.$$' $(BUILD)/tidy.log; exit 1; }

# Those that the installed configuration names; before there is one, those of the shipped one.
users:
	conf/make-users $(if $(wildcard $(CONFDIR)/main.cf),-c $(CONFDIR))

# sendmail and mailq are names of smailer. The names that programs call it by are only taken where
# they are free: another mail system's stay, as does what the administrator wrote in SYSCONFDIR.
SENDMAIL_LINKS ?= /usr/sbin/sendmail /usr/lib/sendmail
INSTALL ?= install
install: all
	$(INSTALL) -d $(addprefix $(DESTDIR),$(SBINDIR) $(BINDIR) $(LIBEXECDIR) $(CONFDIR) $(SYSCONFDIR)/init.d $(SYSCONFDIR)/logrotate.d $(UNITDIR))
	$(INSTALL) -m 755 $(O)/bin/smailer-master $(DESTDIR)$(SBINDIR)/
	$(INSTALL) -m 755 $(O)/bin/smailer $(DESTDIR)$(BINDIR)/
	$(INSTALL) -m 755 $(O)/libexec/smailer-* $(DESTDIR)$(LIBEXECDIR)/
	ln -sf $(BINDIR)/smailer $(DESTDIR)$(SBINDIR)/sendmail
	ln -sf smailer $(DESTDIR)$(BINDIR)/mailq
	for link in $(SENDMAIL_LINKS); do [ -e $(DESTDIR)$$link ] || [ -L $(DESTDIR)$$link ] || \
	  { $(INSTALL) -d $(DESTDIR)$${link%/*} && ln -s $(SBINDIR)/sendmail $(DESTDIR)$$link; } || exit 1; done
	for file in main.cf master.cf; do [ -e $(DESTDIR)$(CONFDIR)/$$file ] || \
	  $(INSTALL) -m 644 conf/$$file $(DESTDIR)$(CONFDIR)/; done
	[ -e $(DESTDIR)$(CONFDIR)/accounts.cf ] || $(INSTALL) -m 600 conf/accounts.cf $(DESTDIR)$(CONFDIR)/
	$(INSTALL) -m 755 conf/smailer.init $(DESTDIR)$(SYSCONFDIR)/init.d/smailer
	$(INSTALL) -m 644 conf/smailer.logrotate $(DESTDIR)$(SYSCONFDIR)/logrotate.d/smailer
	[ -e $(DESTDIR)$(SYSCONFDIR)/default/smailer ] || \
	  $(INSTALL) -D -m 644 conf/smailer.default $(DESTDIR)$(SYSCONFDIR)/default/smailer
	$(INSTALL) -m 644 conf/smailer.service $(DESTDIR)$(UNITDIR)/
	for page in $(wildcard doc/*.[1-8]); do \
	  $(INSTALL) -D -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/} || exit 1; done

clean:
	rm -rf $(BUILD) $(O)/bin $(O)/libexec

-include $(shell find $(BUILD) -name servers -prune -o -type f -name '*.d' -print 2>/dev/null)
