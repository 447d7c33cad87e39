# The daemon, and everything that `make install` lays out beside it.
if FULL
# All of this floor but main(), so that tests can link it.
noinst_LIBRARIES += libmain.a
libmain_a_CPPFLAGS = $(AM_CPPFLAGS) -DBUILTIN_MODEL='"$(modelsdir)/$(BUILTIN_MODEL)"'
libmain_a_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS)
libmain_a_SOURCES = \
	include/main/conf.h src/main/conf.c \
	src/main/conf-key.h src/main/conf-print.c src/main/conf-read.c src/main/conf-models.c \
	include/main/handed.h src/main/handed.c \
	include/main/listen.h src/main/listen.c \
	include/main/notify.h src/main/notify.c \
	include/main/plan.h src/main/plan.c \
	include/main/recall.h src/main/recall.c \
	include/main/sandbox.h src/main/sandbox.c src/main/sandbox-calls.c src/main/sandbox-parts.h \
	include/main/upgrade.h src/main/upgrade.c \
	include/main/version.h src/main/version.c

# conf.c has the path of the built-in model, which follows the prefix.
src/main/libmain_a-conf.$(OBJEXT): Makefile

sbin_PROGRAMS += tritd
tritd_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS)
tritd_SOURCES = src/main/main.c src/main/app.h src/main/app-load.c src/main/app-loop.c \
	src/main/app-models.c src/main/app-prove.c src/main/app-change.c src/main/app-manager.c src/main/app-recall.c \
	src/main/app-reload.c src/main/app-ports.c
tritd_LDADD = libmain.a libserver.a libengine.a libkernels.a $(KERNEL_VARIANTS) libmodel.a \
	libformats.a libbase.a $(MHD_LIBS) $(GNUTLS_LIBS) $(UV_LIBS) $(CJSON_LIBS) $(PCRE2_LIBS) $(UNISTRING_LIBS) $(NETTLE_LIBS) \
	$(XXHASH_LIBS) -lm -lpthread

# Paths are put in by make, not by configure, so that `make prefix=...` works and no ${prefix} ever
# stands in an installed file.
SUBSTITUTE = $(AM_V_GEN)$(MKDIR_P) $(@D) && $(SED) -e 's|@sbindir[@]|$(sbindir)|g' \
	-e 's|@sysconfdir[@]|$(sysconfdir)|g' -e 's|@docdir[@]|$(docdir)|g' \
	-e 's|@modelsdir[@]|$(modelsdir)|g' -e 's|@BUILTIN_MODEL[@]|$(BUILTIN_MODEL)|g'
conf/tritd.conf: conf/tritd.conf.in Makefile
	$(SUBSTITUTE) $(srcdir)/conf/tritd.conf.in >$@.new && mv $@.new $@
UNITS = systemd/tritd.service systemd/tritd.socket systemd/tritd-own-socket.service \
	systemd/tritd@.service
$(UNITS): Makefile
	$(SUBSTITUTE) $(srcdir)/$@.in >$@.new && mv $@.new $@
systemd/tritd.service: systemd/tritd.service.in
systemd/tritd.socket: systemd/tritd.socket.in
systemd/tritd-own-socket.service: systemd/tritd-own-socket.service.in
systemd/tritd@.service: systemd/tritd@.service.in

# A release has no warnings, and its unit files stay inside the directory it is tested in.
AM_DISTCHECK_CONFIGURE_FLAGS = --enable-werror \
	--with-systemdsystemunitdir='$${prefix}/lib/systemd/system'

nodist_systemdsystemunit_DATA = $(UNITS)
sysusersdir = $(prefix)/lib/sysusers.d
dist_sysusers_DATA = systemd/tritd.conf
dist_doc_DATA = README.md LICENSE CONTRIBUTING.md SECURITY.md
pagesdir = $(docdir)/doc
dist_pages_DATA = doc/api.md doc/reliability.md doc/exactness.md doc/hybrid.md doc/first-hour.md doc/operations.md \
	doc/performance.md doc/performance-log.md doc/scale.md doc/page.png
modelsdir = $(pkgdatadir)/models
if HAVE_BUILTIN_MODEL
dist_models_DATA = models/$(BUILTIN_MODEL) models/README.md models/loss.svg
endif
tritdconfdir = $(sysconfdir)/tritd
noinst_DATA = conf/tritd.conf
CLEANFILES += conf/tritd.conf $(UNITS)

# The operator's file is never overwritten, and only removed while it is still ours word for word.
install-data-local:
	$(MKDIR_P) "$(DESTDIR)$(tritdconfdir)"
	@if test -e "$(DESTDIR)$(tritdconfdir)/tritd.conf"; then \
	  echo "keeping $(DESTDIR)$(tritdconfdir)/tritd.conf"; \
	  $(INSTALL_DATA) conf/tritd.conf "$(DESTDIR)$(tritdconfdir)/tritd.conf.new"; \
	else \
	  $(INSTALL_DATA) conf/tritd.conf "$(DESTDIR)$(tritdconfdir)/tritd.conf"; \
	fi

uninstall-hook:
	@for f in tritd.conf tritd.conf.new; do \
	  if cmp -s conf/tritd.conf "$(DESTDIR)$(tritdconfdir)/$$f"; then \
	    rm -f "$(DESTDIR)$(tritdconfdir)/$$f"; \
	  fi; \
	done
	-rmdir "$(DESTDIR)$(tritdconfdir)" "$(DESTDIR)$(modelsdir)" "$(DESTDIR)$(pkgdatadir)" 2>/dev/null
endif
EXTRA_DIST += conf/tritd.conf.in systemd/tritd.service.in systemd/tritd.socket.in \
	systemd/tritd-own-socket.service.in systemd/tritd@.service.in .ci/run
