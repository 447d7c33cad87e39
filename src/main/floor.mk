# The daemon, and everything that `make install` lays out beside it.
if FULL
# All of this floor but main(), so that tests can link it.
noinst_LIBRARIES += libmain.a
libmain_a_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS)
libmain_a_SOURCES = \
	include/main/conf.h src/main/conf.c \
	src/main/conf-key.h src/main/conf-print.c src/main/conf-read.c \
	include/main/listen.h src/main/listen.c \
	include/main/notify.h src/main/notify.c \
	include/main/plan.h src/main/plan.c \
	include/main/version.h src/main/version.c

sbin_PROGRAMS += tritd
tritd_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS)
tritd_SOURCES = src/main/main.c
tritd_LDADD = libmain.a libserver.a libengine.a libkernels.a $(KERNEL_VARIANTS) libmodel.a \
	libformats.a libbase.a $(MHD_LIBS) $(UV_LIBS) $(CJSON_LIBS) $(PCRE2_LIBS) $(NETTLE_LIBS) \
	$(XXHASH_LIBS) -lm -lpthread

# Paths are put in by make, not by configure, so that `make prefix=...` works and no ${prefix} ever
# stands in a unit file.
SUBSTITUTE = $(AM_V_GEN)$(MKDIR_P) $(@D) && $(SED) -e 's|@sbindir[@]|$(sbindir)|g' \
	-e 's|@sysconfdir[@]|$(sysconfdir)|g' -e 's|@docdir[@]|$(docdir)|g'
systemd/tritd.service: systemd/tritd.service.in Makefile
	$(SUBSTITUTE) $(srcdir)/systemd/tritd.service.in >$@.new && mv $@.new $@
systemd/tritd.socket: systemd/tritd.socket.in Makefile
	$(SUBSTITUTE) $(srcdir)/systemd/tritd.socket.in >$@.new && mv $@.new $@

# A release has no warnings, and its unit files stay inside the directory it is tested in.
AM_DISTCHECK_CONFIGURE_FLAGS = --enable-werror \
	--with-systemdsystemunitdir='$${prefix}/lib/systemd/system'

nodist_systemdsystemunit_DATA = systemd/tritd.service systemd/tritd.socket
sysusersdir = $(prefix)/lib/sysusers.d
dist_sysusers_DATA = systemd/tritd.conf
dist_doc_DATA = README.md LICENSE CONTRIBUTING.md
pagesdir = $(docdir)/doc
dist_pages_DATA = doc/api.md doc/exactness.md doc/performance.md
modelsdir = $(datadir)/tritd/models
tritdconfdir = $(sysconfdir)/tritd
CLEANFILES += systemd/tritd.service systemd/tritd.socket

# The operator's file is never overwritten, and only removed while it is still ours word for word.
# The built-in models travel as whatever models/ holds.
install-data-local:
	$(MKDIR_P) "$(DESTDIR)$(tritdconfdir)" "$(DESTDIR)$(modelsdir)"
	@if test -e "$(DESTDIR)$(tritdconfdir)/tritd.conf"; then \
	  echo "keeping $(DESTDIR)$(tritdconfdir)/tritd.conf"; \
	  $(INSTALL_DATA) $(srcdir)/conf/tritd.conf "$(DESTDIR)$(tritdconfdir)/tritd.conf.new"; \
	else \
	  $(INSTALL_DATA) $(srcdir)/conf/tritd.conf "$(DESTDIR)$(tritdconfdir)/tritd.conf"; \
	fi
	@for m in $(srcdir)/models/*.gguf; do \
	  test ! -f "$$m" || $(INSTALL_DATA) "$$m" "$(DESTDIR)$(modelsdir)" || exit 1; \
	done

uninstall-local:
	@for f in tritd.conf tritd.conf.new; do \
	  if cmp -s $(srcdir)/conf/tritd.conf "$(DESTDIR)$(tritdconfdir)/$$f"; then \
	    rm -f "$(DESTDIR)$(tritdconfdir)/$$f"; \
	  fi; \
	done
	@for m in $(srcdir)/models/*.gguf; do \
	  rm -f "$(DESTDIR)$(modelsdir)/$${m##*/}"; \
	done
	-rmdir "$(DESTDIR)$(tritdconfdir)" "$(DESTDIR)$(modelsdir)" 2>/dev/null
endif
EXTRA_DIST += conf/tritd.conf systemd/tritd.service.in systemd/tritd.socket.in .ci/run
