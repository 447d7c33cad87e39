# The manual. The keys of tritd.conf(5) come from the program, so that the page cannot be stale; a
# program for another machine cannot be asked, and then the page says where to look.
if FULL
dist_man_MANS = doc/man/tritd.8 doc/man/trit.1 doc/man/trit-model.1 doc/man/trit-bench.1
nodist_man_MANS = doc/man/tritd.conf.5
doc/man/tritd.conf.5: doc/man/tritd.conf.5.in doc/man/keys.awk tritd$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) $(@D) && \
	  if test "$(cross_compiling)" = yes; then echo 'See tritd --help.'; else ./tritd --list-keys; fi >$@.keys && \
	  $(AWK) -f $(srcdir)/doc/man/keys.awk $@.keys $(srcdir)/doc/man/tritd.conf.5.in >$@.new && \
	  rm $@.keys && mv $@.new $@
CLEANFILES += doc/man/tritd.conf.5 doc/man/tritd.conf.5.new doc/man/tritd.conf.5.keys
TESTS += tests/man.sh

bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = clients/completion/tritd
zshcompletiondir = $(datadir)/zsh/site-functions
dist_zshcompletion_DATA = clients/completion/_tritd
install-data-hook:
	cd "$(DESTDIR)$(bashcompletiondir)" && for p in trit trit-bench trit-model; do ln -sf tritd $$p; done
uninstall-local:
	cd "$(DESTDIR)$(bashcompletiondir)" && rm -f trit trit-bench trit-model
endif
EXTRA_DIST += doc/man/tritd.conf.5.in doc/man/keys.awk tests/man.sh
