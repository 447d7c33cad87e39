/* SPDX-License-Identifier: MIT */
/*
 * coverage.h - included before every file that --enable-coverage counts.
 *
 * gcov writes its counters when a process returns from main() or calls exit(); readers of models
 * and children of tests end by _exit(), which does not.  It has to be a file that includes nothing:
 * config.h, which decides what system headers declare, comes after it.
 */
#ifndef TRIT_COVERAGE
#define TRIT_COVERAGE 1 /* sandbox.c: the counters are files, which a sandbox would not let out */

void __gcov_dump(void);
_Noreturn void _exit(int status);

__attribute__((unused)) static _Noreturn void exit_counted(int status)
{
    __gcov_dump();
    _exit(status);
}
#define _exit exit_counted

#endif
