# trit, the command line client, and worked examples for the official SDKs.  What talks to a server on
# its behalf and on trit-bench's is a library of its own.
if FULL
noinst_LIBRARIES += libclient.a
libclient_a_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/clients
libclient_a_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS) $(CJSON_CFLAGS)
libclient_a_SOURCES = \
	clients/hold.h clients/hold.c \
	clients/load.h clients/load.c clients/load-report.c clients/load-tally.c \
	clients/samples.h clients/samples.c \
	clients/sse.h clients/sse.c \
	clients/trit-http.h clients/trit-http.c \
	clients/work.h clients/work.c

bin_PROGRAMS += trit
trit_SOURCES = clients/trit.h clients/trit.c clients/trit-costs.c clients/trit-load.c \
	clients/trit-options.c \
	clients/fetch.h clients/fetch.c clients/fetch-map.h clients/fetch-map.c \
	clients/pull.h clients/pull.c clients/shelf.h clients/shelf.c
trit_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/clients
trit_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS) $(CJSON_CFLAGS) $(NETTLE_CFLAGS)
# Of the server only what makes and reads keys.
trit_LDADD = libclient.a libserver.a libbase.a $(CURL_LIBS) $(CJSON_LIBS) $(NETTLE_LIBS) -lm -lpthread

exnodedir = $(docdir)/clients/node
dist_exnode_DATA = clients/node/example.mjs clients/node/package.json
expythondir = $(docdir)/clients/python
dist_expython_DATA = clients/python/example.py
endif
