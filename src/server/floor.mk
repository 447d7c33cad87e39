if FULL
noinst_LIBRARIES += libserver.a
libserver_a_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS)
libserver_a_SOURCES = \
	include/server/server.h src/server/server.c src/server/parts.h \
	include/server/json.h src/server/json.c src/server/json-out.c \
	include/server/problem.h src/server/problem.c \
	include/server/fields.h src/server/fields.c \
	include/server/params.h src/server/params.c \
	src/server/params-readers.h src/server/params-readers.c \
	include/server/text.h src/server/text.c \
	include/server/values.h src/server/values.c \
	include/server/admit.h src/server/admit.c \
	include/server/keys.h src/server/keys.c \
	include/server/format.h src/server/format.c \
	include/server/metrics.h src/server/metrics.c src/server/metrics-process.c \
	src/server/metrics-text.h src/server/metrics-text.c src/server/metrics-vllm.c \
	src/server/framing.h src/server/framing.c \
	src/server/names.h src/server/names.c \
	src/server/http.c src/server/exchange.c src/server/watch.c src/server/routes.c src/server/requests.c \
	src/server/job.h src/server/job.c src/server/energy.c \
	src/server/job-admit.c src/server/job-start.c src/server/job-out.c
endif
