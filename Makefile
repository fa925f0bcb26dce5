# GNU make. `make` builds, `make check` tests, `make demo` shows; see README.md.

O       ?= .
BUILD   := $(O)/build
CC      ?= cc
CFLAGS  ?= -O2 -g
WERROR  ?= -Werror

PREFIX     ?= /usr/local
SBINDIR    ?= $(PREFIX)/sbin
BINDIR     ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec/smailer
SYSCONFDIR ?= /etc
MANDIR     ?= $(PREFIX)/share/man

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wwrite-strings -Wvla $(WERROR)
HARDEN   := -fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection -D_FORTIFY_SOURCE=2
LDHARDEN := -pie -Wl,-z,relro,-z,now,-z,noexecstack
SANITIZE ?=

override CPPFLAGS += -I. -I$(BUILD) -D_GNU_SOURCE
ALL_CFLAGS = -std=c17 $(CFLAGS) $(WARNINGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer,$(HARDEN))
ALL_LDFLAGS = $(LDFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE),$(LDHARDEN))

# A folder a program; what each links beside lib/ is said here and nowhere else.
PROGRAMS      := master pickup cleanup qmgr smtp control cli
PKGS_lib      := libbsd libmd libevent_core libseccomp
PKGS_master   := libconfuse
PKGS_cleanup  := libxml-2.0 libidn2
PKGS_smtp     := libcurl openssl
PKGS_cli      := jansson
PKGS_control  := jansson
NEEDS_pickup  := queue
NEEDS_qmgr    := queue

TARGET_master := $(O)/bin/smailer-master
TARGET_cli    := $(O)/bin/smailer
$(foreach p,pickup cleanup qmgr smtp control,$(eval TARGET_$(p) := $(O)/libexec/smailer-$(p)))

FOLDERS   := lib queue $(PROGRAMS)
$(foreach f,$(FOLDERS),$(eval SOURCES_$(f) := $(wildcard $(f)/*.c)))
$(foreach f,$(FOLDERS),$(eval OBJECTS_$(f) := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(f)/main.c,$(SOURCES_$(f))))))
BUILT_PROGRAMS := $(foreach p,$(PROGRAMS),$(if $(wildcard $(p)/main.c),$(TARGET_$(p))))

.PHONY: all clean unit
all: $(BUILT_PROGRAMS)

pkg-cflags = $(if $(1),$(shell pkg-config --cflags $(1)))
pkg-libs   = $(if $(1),$(shell pkg-config --libs $(1)))

# An archive a folder, so that a program and the unit tests take from it what they use.
define folder_rules
$(BUILD)/$(1).a: $$(OBJECTS_$(1))
	@rm -f $$@
	ar rcs $$@ $$^
$(BUILD)/$(1)/%.o: $(1)/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(CPPFLAGS) $$(ALL_CFLAGS) $$(PKG_CFLAGS_$(1)) -MMD -MP -c -o $$@ $$<
endef
$(foreach f,$(FOLDERS),$(eval PKG_CFLAGS_$(f) := $(call pkg-cflags,$(PKGS_lib) $(PKGS_$(f)))))
$(foreach f,$(FOLDERS),$(eval $(call folder_rules,$(f))))

define program_rules
$(TARGET_$(1)): $(BUILD)/$(1)/main.o $(BUILD)/$(1).a $(foreach n,$(NEEDS_$(1)),$(BUILD)/$(n).a) $(BUILD)/lib.a
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$^ -Wl,--as-needed $$(call pkg-libs,$(PKGS_lib) $(PKGS_$(1))) -lpthread
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rules,$(p))))

# Unit tests: tests/unit/FOLDER_NAME.c tests FOLDER/, and links what FOLDER's program does.
UNIT_SOURCES := $(wildcard tests/unit/*.c)
UNIT_TESTS   := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(UNIT_SOURCES))
unit-folder   = $(firstword $(subst _, ,$(notdir $(1))))
.SECONDEXPANSION:
$(BUILD)/tests/unit/%: tests/unit/%.c $(BUILD)/lib.a $$(if $$(filter-out lib,$$(call unit-folder,$$*)),$(BUILD)/$$(call unit-folder,$$*).a) $(BUILD)/queue.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(call pkg-cflags,cmocka $(PKGS_lib) $(PKGS_$(call unit-folder,$*))) $(ALL_LDFLAGS) -MMD -MP -o $@ $< \
	  $(if $(filter-out lib queue,$(call unit-folder,$*)),$(BUILD)/$(call unit-folder,$*).a) $(BUILD)/queue.a $(BUILD)/lib.a \
	  $(call pkg-libs,cmocka $(PKGS_lib) $(PKGS_$(call unit-folder,$*))) -lpthread
unit: $(UNIT_TESTS)
	@for test in $^; do $$test || exit 1; done

clean:
	rm -rf $(BUILD) $(O)/bin $(O)/libexec

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
