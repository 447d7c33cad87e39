# Clients that mean harm.
if FULL
check_PROGRAMS += list-fields
list_fields_SOURCES = tests/adversary/list-fields.c
list_fields_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS)
list_fields_LDADD = libserver.a libengine.a libmodel.a libformats.a libbase.a $(CJSON_LIBS) \
	$(PCRE2_LIBS) $(UNISTRING_LIBS) $(NETTLE_LIBS) $(XXHASH_LIBS) -lm -lpthread
TESTS += tests/adversary/adversary.sh
endif
EXTRA_DIST += tests/adversary/adversary.sh tests/adversary/adversary.mjs
