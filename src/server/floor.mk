if FULL
noinst_LIBRARIES += libserver.a
libserver_a_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS)
libserver_a_SOURCES =
endif
