# Obhut's builds. `make help` lists the targets.

SWIFT   ?= swift
PREFIX  ?= /usr/local
DESTDIR ?=
# Where the library goes below PREFIX, such as lib/x86_64-linux-gnu.
LIBDIR  ?= lib

VERSION := $(shell scripts/version)
SOMAJOR := $(shell scripts/version ABI)
# The part of make test that runs under the sanitizers is shortened by this factor; make sanitize runs it whole.
SANITIZE_SCALE ?= 0.1
# After how many instructions the second pass of make test-interrupted interrupts Lua; by itself, another number each time.
INSTRUCTIONS ?= $(shell shuf -i 2-999 -n 1)

# Those that run Lua in simulation.
LUA_SUITES = (Modules[A-Za-z]*|VM|Lua[A-Za-z]*|Clock|Service|Supervisor|SeedProgram|SeedPool|ChatExample|PipelineExample|BadInput)Tests/

RELEASE  = .build/release
LIBRARY  = build/lib/libobhut.so.$(VERSION)
# What make install copies and make uninstall removes, relative to the prefix.
HEADERS  = $(notdir $(wildcard include/*.h include/*.hpp))
CMAKE_FILES = $(addprefix lib/cmake/Obhut/,ObhutConfig.cmake ObhutConfigVersion.cmake)
FILES    = bin/obhut lib/libobhut.so.$(VERSION) lib/libobhut.so.$(SOMAJOR) lib/libobhut.so \
           $(addprefix include/,$(HEADERS)) lib/pkgconfig/obhut.pc $(CMAKE_FILES) \
           libexec/obhut/obhut-worker \
           share/man/man1/obhut.1 share/man/man3/obhut.3 \
           share/bash-completion/completions/obhut share/zsh/site-functions/_obhut \
           share/fish/vendor_completions.d/obhut.fish
# `lib/x` of FILES as LIBDIR/x, where the rest stays.
place    = $(patsubst lib/%,$(LIBDIR)/%,$(1))
# $(call fill,UP): the templates of pkg-config and CMake; UP leads from the library's folder to the prefix.
fill     = sed -e 's|@VERSION@|$(VERSION)|; s|@ABI@|$(SOMAJOR)|; s|@UP@|$(1)|'
UP       = $(shell echo '$(LIBDIR)' | sed 's|[^/][^/]*|..|g')

.PHONY: build deb setup demo bench bench-plots test fresh-logs test-layers test-swift test-packaging test-command test-guide test-python wheel test-interrupted test-uncloned test-sanitized sanitize install uninstall clean help
# SwiftPM uses all cores by itself, and two of its builds in one folder wait for each other.
.NOTPARALLEL:

## build       release build, left in build/ in the shape of an installation
build: setup
	@# SwiftPM does not look at exports.map; without the library it links again.
	@[ ! Sources/ObhutShared/exports.map -nt $(RELEASE)/libObhutShared.so ] || rm -f $(RELEASE)/libObhutShared.so
	OBHUT_PACKAGING=1 $(SWIFT) build -c release --product ObhutShared --disable-local-rpath
	@mkdir -p build/bin build/lib/pkgconfig build/include build/pkgconfig
	@# Written beside and renamed: a program that has the old one mapped keeps it.
	@rm -f $(filter-out $(LIBRARY),$(wildcard build/lib/libobhut.so.*))
	strip -o $(LIBRARY).new $(RELEASE)/libObhutShared.so && mv -f $(LIBRARY).new $(LIBRARY)
	@ln -sf libobhut.so.$(VERSION) build/lib/libobhut.so.$(SOMAJOR)
	@ln -sf libobhut.so.$(SOMAJOR) build/lib/libobhut.so
	@cp -p include/*.h include/*.hpp build/include/
	@$(call fill,..) pkgconfig/obhut.pc.in >build/lib/pkgconfig/obhut.pc
	@$(call fill,..) pkgconfig/obhut-uninstalled.pc.in >build/pkgconfig/obhut-uninstalled.pc
	@mkdir -p build/lib/cmake/Obhut
	@for file in $(notdir $(CMAKE_FILES)); do $(call fill,..) cmake/$$file.in >build/lib/cmake/Obhut/$$file || exit 1; done
	OBHUT_PACKAGING=1 $(SWIFT) build -c release --product obhut --static-swift-stdlib --disable-local-rpath
	strip -o build/bin/obhut.new $(RELEASE)/obhut && mv -f build/bin/obhut.new build/bin/obhut
	@# C alone: no Swift in the process of a plugin, and a start in a millisecond. Its symbols are for plugins: malloc notes what is refused.
	@mkdir -p build/libexec/obhut
	$(CC) -std=gnu11 -O2 -DNDEBUG -fPIE -pie -ISources/CNative/include $$(pkg-config --cflags libffi) \
		Sources/obhut-worker/main.c Sources/CNative/*.c -s -Wl,-z,now -o build/libexec/obhut/obhut-worker.new \
		$$(pkg-config --libs libffi) -ldl -lrt -pthread
	@mv -f build/libexec/obhut/obhut-worker.new build/libexec/obhut/obhut-worker
	@mkdir -p build/share/bash-completion/completions build/share/zsh/site-functions \
		build/share/fish/vendor_completions.d
	@build/bin/obhut --generate-completion-script bash | sed '1{/^#!/d}' >build/share/bash-completion/completions/obhut
	@build/bin/obhut --generate-completion-script zsh >build/share/zsh/site-functions/_obhut
	@build/bin/obhut --generate-completion-script fish >build/share/fish/vendor_completions.d/obhut.fish
	@mkdir -p build/share/man/man1 build/share/man/man3
	@packaging/manual 1 build/bin/obhut >build/share/man/man1/obhut.1
	@packaging/manual 3 include/obhut.h >build/share/man/man3/obhut.3

## demo        builds, then runs examples/worker-pool
demo: build
	build/bin/obhut exec examples/worker-pool demo:main

## bench       speed beside Erlang, plain Lua and C: a table of ratios (BENCH=T1,T3 BENCH_ROUNDS=5 BENCH_FULL=1)
bench: build
	@benchmarks/setup
	@benchmarks/run

## bench-plots docs/performance.md and its plot anew from benchmarks/results, nothing measured
bench-plots:
	@benchmarks/setup
	@benchmarks/run --report

## test        every test there is
test: fresh-logs test-layers test-packaging test-command test-guide test-python test-sanitized test-interrupted test-uncloned test-swift
	@scripts/test-summary

# The summary at the end is of this run alone.
fresh-logs:
	@rm -rf build/logs

## test-layers the arrows between the folders of Sources/Obhut
test-layers:
	@scripts/check-layers

## test-swift  the Swift tests (debug build, assertions on)
test-swift: setup
	@SWIFT='$(SWIFT)' scripts/setup tests
	@scripts/swift-test core

## test-packaging  what the release build leaves: exports, links, installation
test-packaging: build
	@SWIFT='$(SWIFT)' scripts/setup packaging
	@Tests/Packaging/run

## test-command  the built command: output, errors, statuses, signals
test-command: build
	@Tests/Command/run

## test-guide  what docs/guide shows, done and compared
test-guide: build
	@Tests/Guide/run

## test-python the Python package: types, wheel, and its tests in a fresh environment
test-python: build
	@Tests/Python/run

## wheel       the Python package with everything inside, in build/python/wheels
wheel: build
	@scripts/wheel

## test-interrupted  the tests that run Lua, interrupted at every instruction and then at an interval drawn by chance
test-interrupted: setup
	@OBHUT_TEST_INSTRUCTIONS=1 scripts/swift-test interrupted-every-instruction -- --filter '$(LUA_SUITES)'
	@set -- $(INSTRUCTIONS); echo "==> the interval is $$1: repeat it with make test-interrupted INSTRUCTIONS=$$1" && \
		OBHUT_TEST_INSTRUCTIONS=$$1 scripts/swift-test interrupted-by-chance -- --filter '$(LUA_SUITES)'

## test-uncloned the Swift tests with each Lua VM made from nothing
test-uncloned: setup
	@SWIFT='$(SWIFT)' scripts/setup tests
	@OBHUT_TEST_CLONING=never scripts/swift-test uncloned

# Shortened, for make test.
test-sanitized: setup
	@SWIFT='$(SWIFT)' scripts/setup tests
	@OBHUT_TEST_SCALE=$(SANITIZE_SCALE) scripts/swift-test thread-sanitizer --sanitize=thread --scratch-path .build-tsan
	@OBHUT_TEST_SCALE=$(SANITIZE_SCALE) scripts/swift-test address-sanitizer --sanitize=address --scratch-path .build-asan

## sanitize    the Swift tests at full length under the thread and the address sanitizer
sanitize: setup
	@SWIFT='$(SWIFT)' scripts/setup tests
	@scripts/swift-test thread-sanitizer --sanitize=thread --scratch-path .build-tsan
	@scripts/swift-test address-sanitizer --sanitize=address --scratch-path .build-asan

## setup       installs the system packages that are missing (Debian; sudo when not root)
setup:
	@SWIFT='$(SWIFT)' scripts/setup

## install     copies build/ to PREFIX (/usr/local) under DESTDIR, libraries to LIBDIR (lib) below it; run make build first
install:
	@test -x build/bin/obhut || { echo 'install: nothing built; run make build first' >&2; exit 1; }
	@case '/$(LIBDIR)/' in //* | */../* | */./*) echo "install: LIBDIR is a folder below PREFIX, not '$(LIBDIR)'" >&2; exit 1;; esac
	@copy() { \
		mkdir -p "$(DESTDIR)$(PREFIX)/$${2%/*}" && \
		cp -df --preserve=mode,timestamps "build/$$1" "$(DESTDIR)$(PREFIX)/$$2" || exit 1; \
	}; $(foreach file,$(FILES),copy '$(file)' '$(call place,$(file))';)
	@$(call fill,$(UP)) pkgconfig/obhut.pc.in >'$(DESTDIR)$(PREFIX)/$(LIBDIR)/pkgconfig/obhut.pc'
	@$(call fill,$(UP)) cmake/ObhutConfig.cmake.in >'$(DESTDIR)$(PREFIX)/$(LIBDIR)/cmake/Obhut/ObhutConfig.cmake'
	@echo 'installed in $(DESTDIR)$(PREFIX)'

## uninstall   removes what install copied
uninstall:
	@for file in $(call place,$(FILES)); do rm -f "$(DESTDIR)$(PREFIX)/$$file"; done
	@rmdir '$(DESTDIR)$(PREFIX)/$(LIBDIR)/cmake/Obhut' 2>/dev/null || true

## deb         Debian packages in build/deb: the library, its development files, the command
deb: build
	@SWIFT='$(SWIFT)' scripts/setup deb
	@packaging/make-deb

## clean       removes everything that a build leaves
clean:
	rm -rf build .build .build-tsan .build-asan

help:
	@sed -n 's/^## /  make /p' Makefile
