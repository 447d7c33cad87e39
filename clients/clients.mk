# trit, the command line client, and worked examples for the official SDKs.
if FULL
bin_PROGRAMS += trit
trit_SOURCES = clients/trit.h clients/trit.c clients/trit-load.c \
	clients/trit-http.h clients/trit-http.c
trit_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/clients
trit_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS) $(CJSON_CFLAGS)
# Of the server only what makes and reads keys.
trit_LDADD = libserver.a libbase.a $(CURL_LIBS) $(CJSON_LIBS) $(NETTLE_LIBS) -lm -lpthread

exnodedir = $(docdir)/clients/node
dist_exnode_DATA = clients/node/example.mjs clients/node/package.json
expythondir = $(docdir)/clients/python
dist_expython_DATA = clients/python/example.py
endif
