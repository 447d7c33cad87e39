if FULL
noinst_LIBRARIES += libserver.a
libserver_a_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS)
libserver_a_SOURCES = \
	include/server/server.h src/server/server.c src/server/parts.h \
	include/server/json.h src/server/json.c src/server/json-out.c \
	include/server/problem.h src/server/problem.c \
	include/server/fields.h src/server/fields.c \
	include/server/params.h src/server/params.c \
	src/server/params-readers.h src/server/params-readers.c src/server/params-responses.c \
	src/server/params-shape.c src/server/params-tools.c src/server/params-history.c \
	include/server/tools.h src/server/tools.c \
	include/server/calls.h src/server/calls.c \
	include/server/thought.h src/server/thought.c \
	include/server/shape.h src/server/shape.c \
	include/server/schema.h src/server/schema-parts.h src/server/schema.c \
	src/server/schema-flat.c src/server/schema-apart.c \
	src/server/schema-object.c src/server/schema-array.c src/server/schema-string.c \
	src/server/schema-number.c \
	include/server/regex.h src/server/regex-parts.h src/server/regex.c \
	src/server/regex-set.c src/server/regex-out.c \
	src/server/gbnf.h src/server/gbnf.c \
	include/server/text.h src/server/text.c \
	include/server/values.h src/server/values.c \
	include/server/admit.h src/server/admit.c \
	include/server/keys.h src/server/keys.c src/server/credential.h src/server/credential.c \
	include/server/tls.h src/server/tls.c include/server/origin.h src/server/origin.c src/server/origin-check.c \
	include/server/format.h src/server/format.c \
	include/server/responses.h src/server/responses.c \
	include/server/metrics.h src/server/metrics.c src/server/metrics-models.c src/server/metrics-process.c \
	src/server/metrics-text.h src/server/metrics-text.c src/server/metrics-vllm.c \
	src/server/framing.h src/server/framing.c \
	src/server/names.h src/server/names.c include/server/trace.h src/server/trace.c \
	include/server/agent.h src/server/agent.c \
	src/server/grammars.h src/server/grammars.c src/server/models.h src/server/models.c \
	src/server/http.c src/server/exchange.c src/server/watch.c src/server/routes.c src/server/requests.c src/server/admin.c \
	src/server/job.h src/server/job.c src/server/energy.c \
	src/server/job-admit.c src/server/job-start.c src/server/job-out.c src/server/job-embed.c \
	src/server/job-response.c \
	src/server/page.h src/server/page.c

# The page for people, put into the binary as it is.
nodist_libserver_a_SOURCES = src/server/page-files.c
src/server/page-files.c: src/server/page-embed.sh $(PAGE_FILES)
	$(AM_V_GEN)$(MKDIR_P) $(@D) && \
	  $(SHELL) $(srcdir)/src/server/page-embed.sh $(srcdir) $(PAGE_FILES) >$@.$$$$ && mv $@.$$$$ $@
CLEANFILES += src/server/page-files.c
endif
PAGE_FILES = \
	src/server/page/index.html src/server/page/page.css src/server/page/icon.svg \
	src/server/page/theme.js src/server/page/main.js src/server/page/dom.js src/server/page/api.js \
	src/server/page/settings.js src/server/page/answer.js src/server/page/tokens.js \
	src/server/page/markdown.js src/server/page/chat.js src/server/page/completion.js \
	src/server/page/metrics.js src/server/page/charts.js src/server/page/stats.js
EXTRA_DIST += src/server/page-embed.sh $(PAGE_FILES)
